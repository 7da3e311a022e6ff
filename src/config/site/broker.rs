//! `[broker]`: embedded or external, and its login.

use std::net::SocketAddr;

use super::super::form::Value;
use super::super::{Broker, BrokerLocation, BrokerUrl, Secret, broker_url};
use super::Site;

impl Site<'_> {
    pub(in crate::config) fn broker(&mut self) -> Broker {
        let urls = self.urls();
        let embedded = match self.found("broker.embedded").map(|found| &found.value) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        };
        let location = match (embedded, urls) {
            (Some(true), Some(_)) => {
                self.problem("broker.urls", "excludes broker.embedded = true")
                    .suggest("one store has one broker: keep one of the two");
                BrokerLocation::Embedded(self.broker_listens())
            }
            (_, Some(urls)) => self.external(urls),
            (Some(false), None) => {
                self.problem("broker.embedded", "leaves no broker at all")
                    .suggest("name one: urls = [\"mqtts://broker:8883\"]");
                BrokerLocation::External(Vec::new())
            }
            (_, None) => BrokerLocation::Embedded(self.broker_listens()),
        };
        let (username, password) = self.credentials();
        if let BrokerLocation::Embedded(listen) = &location
            && !listen.ip().is_loopback()
            && password.is_none()
            && self.found("broker.password_file").is_none()
        {
            self.problem("broker.listen", "is open to the network without a password")
                .suggest("set broker.username and broker.password_file");
        }
        Broker { location, username, password }
    }

    fn broker_listens(&self) -> SocketAddr {
        let usual = SocketAddr::from(([127, 0, 0, 1], 1883));
        self.address("broker.listen").unwrap_or(usual)
    }

    fn urls(&mut self) -> Option<Vec<BrokerUrl>> {
        let Value::Texts(urls) = self.value("broker.urls")? else { return None };
        if urls.is_empty() {
            self.problem("broker.urls", "is empty")
                .suggest("name a broker, or take broker.embedded = true");
        }
        Some(urls.iter().filter_map(|url| broker_url::parse(url).ok()).collect())
    }

    fn external(&mut self, urls: Vec<BrokerUrl>) -> BrokerLocation {
        if self.found("broker.listen").is_some() {
            self.problem("broker.listen", "is for the embedded broker only")
                .suggest("broker.urls says where the broker is");
        }
        BrokerLocation::External(urls)
    }

    fn credentials(&mut self) -> (Option<String>, Option<Secret>) {
        let username = self.text("broker.username");
        let written = self.text("broker.password").map(Secret);
        let file = self.found("broker.password_file").is_some();
        if written.is_some() && file {
            self.problem("broker.password", "excludes broker.password_file")
                .suggest("keep the file: a configuration gets copied");
        }
        if username.is_none() && (written.is_some() || file) {
            let path = if file { "broker.password_file" } else { "broker.password" };
            self.problem(path, "needs broker.username");
        }
        (username, written)
    }
}
