//! What a module declares, imports and refers to.

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, TraitItem, UseTree, Visibility};

/// A name and what it is declared as.
pub(crate) struct Declaration {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Whether a path may name it: not so for methods, fields, and items inside functions.
    pub(crate) is_of_module: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A struct, an enum, a trait or a type alias.
    Type,
    Variant,
    /// A method, too.
    Function,
    /// A static, too.
    Constant,
    Field,
    Module,
}

/// A name that `use` brings into a module.
pub(crate) struct Import {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    /// Whether others may take it from here; a re-export by itself is no need.
    pub(crate) is_reexport: bool,
}

#[derive(Default)]
pub(crate) struct Syntax {
    pub(crate) declarations: Vec<Declaration>,
    pub(crate) imports: Vec<Import>,
    /// Paths in code, in macros and in attributes, as they are written.
    pub(crate) paths: Vec<Vec<String>>,
    /// How many nested bodies the visitor is in.
    depth: usize,
}

impl Syntax {
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut syntax = Self::default();
        items.iter().for_each(|item| syntax.visit_item(item));
        syntax.paths.sort_unstable();
        syntax.paths.dedup();
        syntax
    }

    fn declare(&mut self, ident: &syn::Ident, kind: Kind) {
        self.declarations.push(Declaration { name: ident.to_string(), kind, is_of_module: self.depth == 0 });
    }

    fn within(&mut self, visit: impl FnOnce(&mut Self)) {
        self.depth += 1;
        visit(self);
        self.depth -= 1;
    }

    fn import(&mut self, before: &[String], tree: &UseTree, is_reexport: bool) {
        let path = |last: &syn::Ident| {
            let last = last.to_string();
            // `use a::{self}` names `a`.
            before.iter().cloned().chain((last != "self").then_some(last)).collect::<Vec<_>>()
        };
        match tree {
            UseTree::Path(of) => self.import(&path(&of.ident), &of.tree, is_reexport),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(before, tree, is_reexport)),
            UseTree::Name(of) => {
                let path = path(&of.ident);
                self.imports.push(Import { name: path.last().unwrap().clone(), path, is_reexport });
            }
            UseTree::Rename(of) => {
                self.imports.push(Import { name: of.rename.to_string(), path: path(&of.ident), is_reexport });
            }
            // What is taken from whom cannot be seen.
            UseTree::Glob(_)
                if before.first().is_some_and(|first| ["crate", "self", "super"].contains(&first.as_str())) =>
            {
                panic!("`use {}::*`: a glob import outside tests", before.join("::"));
            }
            UseTree::Glob(_) => {}
        }
    }

    /// Collects what looks like a path in the tokens of a macro, which syn does not parse.
    fn scan(&mut self, mut cursor: Cursor<'_>) {
        let mut is_member = false;
        while !cursor.eof() {
            if let Some((inner, _, _, rest)) = cursor.any_group() {
                self.scan(inner);
                cursor = rest;
                is_member = false;
            } else if let Some((ident, mut rest)) = cursor.ident() {
                let mut path = vec![ident.to_string()];
                while let Some((next, after)) = colons(rest).and_then(|after| after.ident()) {
                    path.push(next.to_string());
                    rest = after;
                }
                if !is_member {
                    self.paths.push(path);
                }
                cursor = rest;
                is_member = false;
            } else if let Some((_, rest)) = cursor.token_tree() {
                is_member = cursor.punct().is_some_and(|(punct, _)| punct.as_char() == '.');
                cursor = rest;
            }
        }
    }
}

/// What follows `::`.
fn colons(cursor: Cursor<'_>) -> Option<Cursor<'_>> {
    let (first, rest) = cursor.punct()?;
    let (second, rest) = rest.punct()?;
    (first.as_char() == ':' && second.as_char() == ':').then_some(rest)
}

/// Whether an item is compiled for tests and fuzzing alone.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg = attribute.path().is_ident("cfg").then(|| attribute.meta.require_list().unwrap().tokens.to_string());
        attribute.path().is_ident("test")
            || cfg.is_some_and(|cfg| cfg == "test" || cfg.starts_with("all (test") || cfg == "any (test , fuzzing)")
    })
}

impl<'ast> Visit<'ast> for Syntax {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(of) => &of.attrs,
            Item::Enum(of) => &of.attrs,
            Item::Fn(of) => &of.attrs,
            Item::Impl(of) => &of.attrs,
            Item::Mod(of) => &of.attrs,
            Item::Static(of) => &of.attrs,
            Item::Struct(of) => &of.attrs,
            Item::Trait(of) => &of.attrs,
            Item::Type(of) => &of.attrs,
            Item::Use(of) => &of.attrs,
            _ => return visit::visit_item(self, item),
        };
        if is_for_tests(attributes) {
            return;
        }
        match item {
            Item::Const(of) => self.declare(&of.ident, Kind::Constant),
            Item::Enum(of) => self.declare(&of.ident, Kind::Type),
            Item::Fn(of) => self.declare(&of.sig.ident, Kind::Function),
            Item::Static(of) => self.declare(&of.ident, Kind::Constant),
            Item::Struct(of) => self.declare(&of.ident, Kind::Type),
            Item::Trait(of) => self.declare(&of.ident, Kind::Type),
            Item::Type(of) => self.declare(&of.ident, Kind::Type),
            Item::Use(of) => {
                let is_reexport = !matches!(of.vis, Visibility::Inherited);
                return self.import(&[], &of.tree, is_reexport);
            }
            Item::Mod(of) => {
                // A name, but not one that a path takes from here: the module is a child.
                self.within(|this| this.declare(&of.ident, Kind::Module));
                // Its items are its own.
                return;
            }
            _ => {}
        }
        self.within(|this| visit::visit_item(this, item));
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(of) if is_for_tests(&of.attrs) => return,
            ImplItem::Const(of) if is_for_tests(&of.attrs) => return,
            _ => {}
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // The names of a trait's methods are the trait's.
        if item.trait_.is_none() {
            for of in &item.items {
                match of {
                    ImplItem::Fn(of) if !is_for_tests(&of.attrs) => self.declare(&of.sig.ident, Kind::Function),
                    ImplItem::Const(of) if !is_for_tests(&of.attrs) => self.declare(&of.ident, Kind::Constant),
                    _ => {}
                }
            }
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        match item {
            TraitItem::Fn(of) => self.declare(&of.sig.ident, Kind::Function),
            TraitItem::Const(of) => self.declare(&of.ident, Kind::Constant),
            _ => {}
        }
        visit::visit_trait_item(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        self.declare(&variant.ident, Kind::Variant);
        visit::visit_variant(self, variant);
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if let Some(ident) = &field.ident {
            self.declare(ident, Kind::Field);
        }
        visit::visit_field(self, field);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, of: &'ast syn::Macro) {
        self.scan(TokenBuffer::new2(of.tokens.clone()).begin());
        visit::visit_macro(self, of);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.scan(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }
}
