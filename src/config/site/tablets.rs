//! `[tablets]`: the staff's page.

use super::Site;
use crate::config::{Tablets, quiet_hours, web_url};

impl Site<'_> {
    pub(in crate::config) fn tablets(&self) -> Option<Tablets> {
        let hours = self.text("tablets.opening_hours");
        Some(Tablets {
            listen: self.address("tablets.listen")?,
            address: self.text("tablets.address").and_then(|url| web_url::parse(&url).ok()),
            opening_hours: hours.and_then(|hours| quiet_hours::parse(&hours).ok()).flatten(),
        })
    }
}
