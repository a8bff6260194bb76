//! The nodes of a document, as arranged by html5ever's tree builder.
//!
//! Nodes are indexes with links to their neighbours: each change takes constant time, and neither walking nor dropping
//! them needs a stack.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use html5ever::interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, ExpandedName, QualName};

use super::roles::{Role, role};

/// The index of a node.
pub(super) type Id = u32;

/// No node.
const NONE: Id = Id::MAX;

/// The root of everything that is shown.
pub(super) const DOCUMENT: Id = 0;

/// An element, as the tree builder sees it.
#[derive(Debug)]
pub(super) struct Element {
    id: Id,
    name: QualName,
    /// Whether HTML continues inside this MathML element.
    is_integration_point: bool,
}

/// The content of a node.
#[derive(Debug)]
pub(super) enum NodeContent {
    Element(Role),
    Text(StrTendril),
}

#[derive(Debug)]
struct TreeNode {
    content: NodeContent,
    parent: Id,
    previous: Id,
    next: Id,
    first: Id,
    last: Id,
}

/// A document, during and after its construction.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: RefCell<Vec<TreeNode>>,
    document: Rc<Element>,
    /// Stands for comments and template contents: never shown.
    nowhere: Rc<Element>,
    /// How often the tree builder looked up an element's name: a measure of its work.
    lookups: Cell<u64>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let nodes = RefCell::new(Vec::new());
        let [document, nowhere] = [DOCUMENT, DOCUMENT + 1].map(|id| {
            nodes.borrow_mut().push(TreeNode::new(NodeContent::Element(Role::Inline)));
            let name = QualName::new(None, html5ever::ns!(html), html5ever::local_name!("div"));
            Rc::new(Element { id, name, is_integration_point: false })
        });
        Self { nodes, document, nowhere, lookups: Cell::new(0) }
    }

    /// Nodes created plus names looked up.
    #[cfg(any(test, fuzzing))]
    pub(super) fn work(&self) -> u64 {
        self.lookups.get() + self.nodes.borrow().len() as u64
    }

    /// The context element of the fragment.
    pub(super) fn context(&self) -> Rc<Element> {
        self.nowhere.clone()
    }

    /// Visits all nodes in order, and elements again at their end. `visit` returns whether to descend into an element.
    pub(super) fn walk(&self, mut visit: impl FnMut(Visit<'_>) -> bool) {
        let nodes = self.nodes.borrow();
        let mut at = DOCUMENT;
        loop {
            let node = &nodes[at as usize];
            let goes_in = match &node.content {
                NodeContent::Text(text) => {
                    visit(Visit::Text(text));
                    false
                }
                NodeContent::Element(role) => {
                    let only_text = (node.first == node.last).then(|| nodes.get(node.first as usize)).flatten();
                    let only_text = only_text.and_then(|child| match &child.content {
                        NodeContent::Text(text) => Some(&**text),
                        NodeContent::Element(_) => None,
                    });
                    visit(Visit::Start(role, only_text))
                }
            };
            if goes_in && node.first != NONE {
                at = node.first;
                continue;
            }
            // The next node in order: that of the innermost element that has one.
            loop {
                let node = &nodes[at as usize];
                if let NodeContent::Element(role) = &node.content {
                    visit(Visit::End(role));
                }
                if at == DOCUMENT {
                    return;
                }
                if node.next != NONE {
                    at = node.next;
                    break;
                }
                at = node.parent;
            }
        }
    }

    /// Inserts a node or text under a parent, before one of its children or as the last one.
    fn insert(&self, parent: Id, before: Id, child: NodeOrText<Rc<Element>>) {
        let nodes = &mut *self.nodes.borrow_mut();
        let previous = if before == NONE { nodes[parent as usize].last } else { nodes[before as usize].previous };
        let id = match child {
            NodeOrText::AppendNode(element) if element.id == self.nowhere.id => return,
            NodeOrText::AppendNode(element) => {
                detach(nodes, element.id);
                element.id
            }
            NodeOrText::AppendText(text) => {
                if let Some(TreeNode { content: NodeContent::Text(before), .. }) = nodes.get_mut(previous as usize) {
                    before.push_tendril(&text);
                    return;
                }
                nodes.push(TreeNode::new(NodeContent::Text(text)));
                number(nodes.len() - 1)
            }
        };
        // Detaching may have changed the neighbour.
        let previous = if before == NONE { nodes[parent as usize].last } else { nodes[before as usize].previous };
        link(nodes, parent, previous, id);
        link(nodes, parent, id, before);
        nodes[id as usize].parent = parent;
    }
}

/// One step of a walk.
pub(super) enum Visit<'t> {
    /// The start of an element, with its text if that is its only content.
    Start(&'t Role, Option<&'t str>),
    Text(&'t str),
    End(&'t Role),
}

impl TreeNode {
    fn new(content: NodeContent) -> Self {
        Self { content, parent: NONE, previous: NONE, next: NONE, first: NONE, last: NONE }
    }
}

/// Bodies with 2^32 nodes exceed the size limit of a page.
fn number(at: usize) -> Id {
    Id::try_from(at).unwrap_or(NONE)
}

/// Links two nodes as neighbours; `NONE` stands for the ends of the parent's list.
fn link(nodes: &mut [TreeNode], parent: Id, before: Id, after: Id) {
    match before {
        NONE => nodes[parent as usize].first = after,
        _ => nodes[before as usize].next = after,
    }
    match after {
        NONE => nodes[parent as usize].last = before,
        _ => nodes[after as usize].previous = before,
    }
}

fn detach(nodes: &mut [TreeNode], id: Id) {
    let TreeNode { parent, previous, next, .. } = nodes[id as usize];
    if parent != NONE {
        link(nodes, parent, previous, next);
    }
    let node = &mut nodes[id as usize];
    (node.parent, node.previous, node.next) = (NONE, NONE, NONE);
}

impl TreeSink for Tree {
    type Handle = Rc<Element>;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Rc<Element> {
        self.document.clone()
    }

    fn elem_name<'a>(&'a self, target: &'a Rc<Element>) -> ExpandedName<'a> {
        self.lookups.set(self.lookups.get() + 1);
        target.name.expanded()
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, flags: ElementFlags) -> Rc<Element> {
        let mut nodes = self.nodes.borrow_mut();
        let id = number(nodes.len());
        nodes.push(TreeNode::new(NodeContent::Element(role(&name, attributes))));
        Rc::new(Element { id, name, is_integration_point: flags.mathml_annotation_xml_integration_point })
    }

    fn create_comment(&self, _: StrTendril) -> Rc<Element> {
        self.nowhere.clone()
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Rc<Element> {
        self.nowhere.clone()
    }

    fn append(&self, parent: &Rc<Element>, child: NodeOrText<Rc<Element>>) {
        self.insert(parent.id, NONE, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Rc<Element>,
        previous: &Rc<Element>,
        child: NodeOrText<Rc<Element>>,
    ) {
        let parent = self.nodes.borrow()[element.id as usize].parent;
        match parent {
            NONE => self.insert(previous.id, NONE, child),
            parent => self.insert(parent, element.id, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, _: &Rc<Element>) -> Rc<Element> {
        self.nowhere.clone()
    }

    fn same_node(&self, x: &Rc<Element>, y: &Rc<Element>) -> bool {
        x.id == y.id
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Rc<Element>, child: NodeOrText<Rc<Element>>) {
        let parent = self.nodes.borrow()[sibling.id as usize].parent;
        if parent != NONE {
            self.insert(parent, sibling.id, child);
        }
    }

    fn add_attrs_if_missing(&self, _: &Rc<Element>, _: Vec<Attribute>) {}

    fn remove_from_parent(&self, target: &Rc<Element>) {
        detach(&mut self.nodes.borrow_mut(), target.id);
    }

    fn reparent_children(&self, node: &Rc<Element>, parent: &Rc<Element>) {
        let nodes = &mut *self.nodes.borrow_mut();
        loop {
            let first = nodes[node.id as usize].first;
            if first == NONE {
                return;
            }
            detach(nodes, first);
            let last = nodes[parent.id as usize].last;
            link(nodes, parent.id, last, first);
            link(nodes, parent.id, first, NONE);
            nodes[first as usize].parent = parent.id;
        }
    }

    fn is_mathml_annotation_xml_integration_point(&self, element: &Rc<Element>) -> bool {
        element.is_integration_point
    }
}
