//! `[tablets]`: the staff's page.

use std::time::Duration;

use super::Site;
use crate::config::{Tablets, crm_url, quiet_hours, web_url};

impl Site<'_> {
    pub(in crate::config) fn tablets(&self) -> Option<Tablets> {
        let stay = self.integer("tablets.check_in_mins");
        let stay = stay.and_then(|mins| u64::try_from(mins).ok()).unwrap_or_default();
        let hours = self.text("tablets.opening_hours");
        Some(Tablets {
            listen: self.address("tablets.listen")?,
            address: self.text("tablets.address").and_then(|url| web_url::parse(&url).ok()),
            opening_hours: hours.and_then(|hours| quiet_hours::parse(&hours).ok()).flatten(),
            crm_url: self.text("tablets.crm_url").and_then(|url| crm_url::parse(&url).ok()),
            check_in: Duration::from_mins(stay),
            entrance: self.flag("tablets.entrance").unwrap_or_default(),
        })
    }
}
