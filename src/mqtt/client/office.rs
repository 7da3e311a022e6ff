//! Messages between the line to head office and the shop's own client.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::Client;
use crate::mqtt::inbound::Number;
use crate::store::Change;

/// The client's end of the line to head office.
#[derive(Debug)]
pub struct Office {
    /// Withdrawals that came over it.
    pub withdrawals: mpsc::Receiver<WithdrawalNews>,
    /// Whether head office has reported all withdrawals.
    pub answer: watch::Receiver<OfficeAnswer>,
    /// Which withdrawals are known.
    pub known: watch::Sender<KnownWithdrawals>,
}

/// What head office reports of withdrawals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithdrawalNews {
    Withdrawn(String, Option<Number>),
    /// With what came before, the list is known up to this number.
    Complete {
        list: String,
        /// The list's last number.
        serial: u64,
    },
}

/// Whether head office has said which customers have withdrawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OfficeAnswer {
    /// It was asked, or will be in a moment.
    #[default]
    Waiting,
    /// It has reported all of them.
    Known,
    /// It cannot be reached, or does not answer: the shop works without it.
    Away,
}

/// Which withdrawals are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownWithdrawals {
    /// Which list of head office.
    pub list: Option<Arc<str>>,
    /// All up to this number.
    pub serial: u64,
    /// Customers, numbered or not.
    pub withdrawn: u64,
    /// Some number before the last is missing.
    pub has_gap: bool,
}

/// What comes over the line.
pub(super) enum News {
    Withdrawal(WithdrawalNews),
    Answer,
}

impl Client {
    pub(super) fn on_office(&mut self, news: News) {
        match news {
            News::Withdrawal(WithdrawalNews::Withdrawn(client, number)) => {
                let new = self.withdrawn(client, number);
                self.pending.extend(new);
            }
            News::Withdrawal(WithdrawalNews::Complete { list, serial }) => {
                if self.withdrawals.complete(&list, serial)
                    && let Some((list, serial)) = self.withdrawals.known()
                {
                    let list = Arc::clone(list);
                    self.unrecorded.push(Change::WithdrawnUpTo { list, serial });
                }
            }
            News::Answer => self.consent_by_office(),
        }
        self.show_known();
    }

    /// Whether head office's answer need not be waited for.
    pub(super) fn office_permits(&self) -> bool {
        let office = self.channels.office.as_ref();
        office.is_none_or(|office| *office.answer.borrow() != OfficeAnswer::Waiting)
    }

    /// Passes on to the line what is known.
    pub(super) fn show_known(&self) {
        let Some(office) = &self.channels.office else { return };
        let known = self.withdrawals.known();
        let known = KnownWithdrawals {
            list: known.map(|(list, _)| Arc::clone(list)),
            serial: known.map_or(0, |(_, serial)| serial),
            withdrawn: u64::try_from(self.withdrawals.clients().len()).unwrap_or(u64::MAX),
            has_gap: self.withdrawals.has_gap(),
        };
        office.known.send_if_modified(|before| {
            let changed = *before != known;
            *before = known;
            changed
        });
    }
}

/// What comes over the line next; pending for ever without one.
pub(super) async fn next(office: &mut Option<Office>) -> News {
    let Some(office) = office else { return std::future::pending().await };
    tokio::select! {
        Some(news) = office.withdrawals.recv() => News::Withdrawal(news),
        Ok(()) = office.answer.changed() => News::Answer,
        else => std::future::pending().await,
    }
}
