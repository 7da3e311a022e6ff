//! `[tablets]`: the staff's page.

use std::io::Read as _;
use std::time::Duration;

use super::Site;
use crate::config::{Tablets, Words, crm_url, quiet_hours, web_url, words};
use crate::files;

impl Site<'_> {
    /// The settings of the page; `files` says whether the files that they name are here.
    pub(in crate::config) fn tablets(&mut self, files: bool) -> Option<Tablets> {
        let words = if files { self.words() } else { Words::default() };
        let hours = self.text("tablets.opening_hours");
        Some(Tablets {
            listen: self.address("tablets.listen")?,
            address: self.text("tablets.address").and_then(|url| web_url::parse(&url).ok()),
            opening_hours: hours.and_then(|hours| quiet_hours::parse(&hours).ok()).flatten(),
            crm_url: self.text("tablets.crm_url").and_then(|url| crm_url::parse(&url).ok()),
            check_in: self.secs("tablets.check_in_mins") * 60,
            entrance: self.flag("tablets.entrance").unwrap_or_default(),
            repeat: self.secs("tablets.repeat_secs"),
            late: self.secs("tablets.late_secs"),
            idle: self.secs("tablets.idle_mins") * 60,
            shift_end: self.text("tablets.shift_end").and_then(|time| quiet_hours::minute(&time)),
            words,
        })
    }

    /// When an alert that no one answers is escalated.
    pub(in crate::config) fn escalate_after(&self) -> Option<Duration> {
        Some(self.secs("tablets.escalate_secs")).filter(|after| !after.is_zero())
    }

    fn words(&mut self) -> Words {
        let path = "tablets.words";
        let Some(file) = self.file(path) else { return Words::default() };
        let mut text = String::new();
        let read = files::open_regular(&file)
            .and_then(|open| open.take(words::LONGEST_FILE).read_to_string(&mut text));
        if let Err(error) = read {
            self.problem(path, format!("cannot be read: {error}"))
                .suggest(format!("it is looked for at {}", file.display()));
            return Words::default();
        }
        Words::default().with(&text).unwrap_or_else(|misfit| {
            let line = misfit.line.map(|line| format!(" line {line}:")).unwrap_or_default();
            let what = format!("is no language:{line} {}", misfit.what);
            self.problem(path, what).hint = misfit.hint;
            Words::default()
        })
    }
}
