//! The environment's metadata of a table and its attributes.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/reference/attributemetadata>

use serde::Deserialize;

/// The properties of [`AttributeMetadata`] to request.
pub(crate) const ATTRIBUTE_PROPERTIES: &str =
    "LogicalName,AttributeType,AttributeOf,IsValidForRead,IsValidODataAttribute,IsSecured";

/// A table of the environment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TableMetadata {
    pub(crate) logical_name: String,
    pub(crate) change_tracking_enabled: Option<bool>,
    pub(crate) attributes: Option<Vec<AttributeMetadata>>,
}

/// A column of the environment.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AttributeMetadata {
    /// `#Microsoft.Dynamics.CRM.StringAttributeMetadata`: the only way to recognise a File.
    #[serde(rename = "@odata.type")]
    pub(crate) metadata: Option<String>,
    pub(crate) logical_name: String,
    pub(crate) attribute_type: Option<String>,
    /// The attribute that this one belongs to, such as a lookup for its name.
    pub(crate) attribute_of: Option<String>,
    pub(crate) is_valid_for_read: Option<bool>,
    #[serde(rename = "IsValidODataAttribute")]
    pub(crate) is_valid_odata_attribute: Option<bool>,
    /// Column security applies to it.
    pub(crate) is_secured: Option<bool>,
}

impl AttributeMetadata {
    /// Whether rows have it as a property of their own, with a value of its own.
    pub(crate) fn is_own_property(&self) -> bool {
        let plain = self.logical_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let own = self.attribute_of.as_ref().is_none_or(String::is_empty);
        plain && own && self.is_readable() && self.is_valid_odata_attribute != Some(false) && self.has_value()
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.is_valid_for_read != Some(false)
    }

    /// Whether it has a value: it is neither a list of rows, nor for forms only, nor an image.
    fn has_value(&self) -> bool {
        match self.attribute_type.as_deref() {
            Some("PartyList" | "EntityName" | "CalendarRules" | "ManagedProperty") => false,
            // Files, images and multi-select choices are virtual as well.
            Some("Virtual") => {
                matches!(self.kind(), Some("FileAttributeMetadata" | "MultiSelectPicklistAttributeMetadata"))
            }
            _ => self.kind() != Some("ImageAttributeMetadata"),
        }
    }

    fn kind(&self) -> Option<&str> {
        self.metadata.as_deref()?.rsplit('.').next()
    }

    /// The wire name of its property in rows; lookups have a derived one.
    pub(crate) fn property(&self) -> String {
        match self.attribute_type.as_deref() {
            Some("Lookup" | "Customer" | "Owner") => format!("_{}_value", self.logical_name),
            _ => self.logical_name.clone(),
        }
    }
}

/// The logical name of the attribute behind a property.
pub(crate) fn attribute_of(property: &str) -> &str {
    property.strip_prefix('_').and_then(|name| name.strip_suffix("_value")).unwrap_or(property)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(json: &str) -> AttributeMetadata {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn lookups_have_a_property_of_another_name() {
        for (ty, property) in [("Lookup", "_x_value"), ("Customer", "_x_value"), ("Owner", "_x_value"), ("Memo", "x")] {
            let attribute = attribute(&format!(r#"{{"LogicalName":"x","AttributeType":"{ty}"}}"#));
            assert!(attribute.is_own_property(), "{ty}");
            assert_eq!(attribute.property(), property);
        }
        assert_eq!((attribute_of("_x_value"), attribute_of("x"), attribute_of("x_value")), ("x", "x", "x_value"));
    }

    #[test]
    fn what_rows_do_not_have_is_not_their_property() {
        for more in [
            r#""AttributeType":"PartyList""#,
            r#""AttributeType":"EntityName""#,
            r#""AttributeType":"CalendarRules""#,
            r#""AttributeType":"ManagedProperty""#,
            r#""AttributeType":"Virtual""#,
            r##""AttributeType":"Virtual","@odata.type":"#Microsoft.Dynamics.CRM.ImageAttributeMetadata""##,
            r#""AttributeType":"String","AttributeOf":"owner""#,
            r#""AttributeType":"String","IsValidForRead":false"#,
            r#""AttributeType":"String","IsValidODataAttribute":false"#,
        ] {
            assert!(!attribute(&format!(r#"{{"LogicalName":"x",{more}}}"#)).is_own_property(), "{more}");
        }
        assert!(!attribute(r#"{"LogicalName":"x,y"}"#).is_own_property());
        for more in [
            r##""AttributeType":"Virtual","@odata.type":"#Microsoft.Dynamics.CRM.FileAttributeMetadata""##,
            r#""AttributeType":"Virtual","@odata.type":"Microsoft.Dynamics.CRM.MultiSelectPicklistAttributeMetadata""#,
            r#""AttributeType":"String","AttributeOf":null,"IsValidForRead":null"#,
            r#""AttributeType":"BigInt","IsValidForRead":true"#,
        ] {
            assert!(attribute(&format!(r#"{{"LogicalName":"x",{more}}}"#)).is_own_property(), "{more}");
        }
    }
}
