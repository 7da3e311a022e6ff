//! What survives a restart (SQLite): outbox, visits, caps, withdrawals.
