//! From an advertisement, received here or by another gateway, to a contact with a customer.

use super::Pipeline;
use crate::pipeline::event::{CustomerContact, Effect};
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::gateway::HERE;
use crate::pipeline::identity::clones::Counts;
use crate::pipeline::identity::customer::{Match, Sender};
use crate::pipeline::peers::aggregator::PeerContact;
use crate::pipeline::policy::consent;
use crate::pipeline::sighting::{Answer, Sighting};
use crate::pipeline::units::{Dbm, Now};

impl Pipeline {
    pub(super) fn hear(&mut self, now: Now, sighting: &Sighting<'_>, effects: &mut Vec<Effect>) {
        if let Some(beacon) = self.beacons.hear(now, sighting) {
            effects.push(Effect::Beacon(beacon));
        }
        if let Some(found) = self.identity.identify(now, sighting)
            && self.is_original(now, found, sighting, effects)
        {
            let (found, rssi) = self.identity.as_average(found, sighting.rssi);
            self.contact(now, found, sighting.gateway, rssi, effects);
        }
    }

    /// False for the fainter of two senders of one card's identity.
    fn is_original(
        &mut self,
        now: Now,
        found: Match,
        sighting: &Sighting<'_>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if found.sender != Sender::FixedCard {
            return true;
        }
        let Sighting { gateway, address, rssi, .. } = *sighting;
        let (counts, copied) = self.cards.receive(found.customer, gateway, address, rssi, now.tick);
        if copied && let Some(customer) = self.identity.customer(found.customer) {
            effects.push(Effect::CardCopied { client: customer.client });
        }
        counts == Counts::Yes
    }

    pub(super) fn take_answer(&mut self, now: Now, answer: &Answer, effects: &mut Vec<Effect>) {
        let Answer { gateway, address, rssi, nonce, octets } = answer;
        if let Some(found) = self.identity.accept_answer(now, *address, nonce, octets) {
            let (found, rssi) = self.identity.as_average(found, *rssi);
            self.contact(now, found, *gateway, rssi, effects);
        }
    }

    pub(super) fn peer_contact(
        &mut self,
        now: Now,
        gateway: GatewayIndex,
        contact: &PeerContact,
        effects: &mut Vec<Effect>,
    ) {
        self.peers.on_contact(gateway);
        if let Some(customer) = self.identity.index_of(&contact.client) {
            if let Some(at) = contact.arriving_at {
                let first = (at, self.gateway_name(gateway).to_owned());
                self.pending.defer_to(customer, first, now.tick);
            }
            let found = Match::new(customer, Sender::Unknown).with_echo(contact.echo);
            self.contact(now, found, gateway, contact.rssi, effects);
        }
    }

    /// A contact of another pipeline.
    pub(super) fn take_contact(
        &mut self,
        now: Now,
        contact: &CustomerContact,
        effects: &mut Vec<Effect>,
    ) {
        let CustomerContact { client, gateway, rssi, echo } = contact;
        if let Some(customer) = self.identity.index_of(client) {
            let found = Match::new(customer, Sender::Unknown).with_echo(*echo);
            self.contact(now, found, *gateway, *rssi, effects);
        }
    }

    /// A contact at this gateway or another one: its levels are those of an average phone, where the
    /// gateway that received it knows the model.
    pub(super) fn contact(
        &mut self,
        now: Now,
        found: Match,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(agreed) = self.identity.agreement(found.customer, now.clock) else { return };
        let zone = &self.settings.policy.time_zone;
        if !consent::recognisable(&agreed, now.clock, zone) {
            return;
        }
        self.contacts += 1;
        self.last_contact = Some((found, gateway, rssi));
        if gateway == HERE && self.peers.any_present() {
            self.aggregator.add(found.customer, rssi, found.echo, now.tick);
        }
        let known = self.identity.knows_model(&found);
        let event = self.presence.hear(found.customer, now.tick, gateway, rssi, found.echo, known);
        if let Some(event) = event {
            self.perform(event, now, effects);
        }
    }

    /// Emits the contacts that this gateway owes to the other gateways, when they are due.
    pub(super) fn flush_contacts(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let contacts =
            self.aggregator.take_due(now.tick, |who| Some(self.identity.customer(who)?.client));
        if !contacts.is_empty() {
            effects.push(Effect::PeerContacts(contacts));
        }
    }
}
