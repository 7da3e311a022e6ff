//! Notices out: the client, the topics and payloads, the embedded broker.
