//! How terminals' groups are made: `group` of `[mma]` and of `[mobile_terminal]`.

use super::super::document::Fault;
use super::super::raw::{Field, RawGroup};
use super::section::{Section, in_range, span_of, unicast_prefix};
use core::fmt;
use stack::addr::{Eui64, GroupLayout, Scope};

/// The layout where a file says nothing: source-specific, site-local scope (patent fig. 3).
pub(super) const DEFAULT: GroupLayout = GroupLayout::Ssm { scope: Scope::SITE_LOCAL };

#[derive(Clone, Copy, PartialEq)]
enum Layout {
    Ssm,
    Embedded,
    Asm,
}

/// Reads the table.
pub(super) fn layout(section: &Section<'_, '_>, field: &Field<RawGroup>) -> Option<GroupLayout> {
    let Some(table) = field else { return Some(DEFAULT) };
    let section = &section.inner("group", table.span());
    let raw = table.get_ref();
    let words = [("ssm", Layout::Ssm), ("embedded", Layout::Embedded), ("asm", Layout::Asm)];
    let layout = section.choice("layout", &raw.layout, &words, Layout::Ssm)?;
    let scope = section.or("scope", &raw.scope, (Scope::SITE_LOCAL, 5), |&scope| {
        let value = in_range::<u8>(scope, 4..=8)?;
        Scope::new(value).ok_or_else(|| Fault::new("this is no scope", "give 5"))
    });
    if layout == Layout::Asm {
        let what = "groups whose rendezvous point is configured are not in this version";
        return section.fault(
            "layout",
            span_of(section, &raw.layout),
            Fault::new(what, "give \"ssm\" or \"embedded\""),
        );
    }
    if layout == Layout::Ssm {
        let prefix = raw.prefix.as_ref().map(|prefix| ("prefix", prefix.span()));
        let id = raw.rp_interface_id.as_ref().map(|id| ("rp_interface_id", id.span()));
        if let Some((key, span)) = prefix.or(id) {
            let what = "only the layout \"embedded\" names a rendezvous point";
            return section.fault(key, span, Fault::new(what, "leave it out"));
        }
        return Some(GroupLayout::Ssm { scope: scope? });
    }
    let remedy = "give the operator's 32 or 48 bits in front of the rendezvous point as prefix = \"2001:db8::/32\"";
    let prefix = section.required("prefix", &raw.prefix, remedy, |text| {
        let prefix = unicast_prefix(text)?;
        if [32, 48].contains(&prefix.length()) {
            Ok(prefix)
        } else {
            let what = format!("{prefix} has {} bits", prefix.length());
            let remedy =
                "give one of 32 bits, with room for EUI-64 identifiers, or of 48, with room for 48-bit addresses";
            Err(Fault::new(what, remedy))
        }
    });
    let rp_interface_id = section.number("rp_interface_id", &raw.rp_interface_id, 1..=15, 1_u8);
    Some(GroupLayout::EmbeddedRp { scope: scope?, prefix: prefix?, rp_interface_id: rp_interface_id? })
}

/// A terminal's identifier has to fit the groups. One that cannot be read is another matter.
pub(super) fn check_identifier(
    section: &Section<'_, '_>,
    key: impl fmt::Display,
    field: &Field<String>,
    layout: Option<&GroupLayout>,
) {
    let eui64 = field.as_ref().and_then(|text| text.get_ref().parse::<Eui64>().ok()).filter(|&eui64| eui64 != Eui64(0));
    if let (Some(field), Some(eui64), Some(layout)) = (field, eui64, layout)
        && layout.group(eui64).is_none()
    {
        let what = format!("{eui64} is made of no 48-bit address, and the groups have room for no more");
        let remedy = "give one with ff-fe in the middle, or a group.prefix of 32 bits";
        section.fault::<()>(key, field.span(), Fault::new(what, remedy));
    }
}
