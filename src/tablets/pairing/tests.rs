use std::os::unix::fs::PermissionsExt as _;

use super::*;

const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

fn other_than(code: &Code) -> &'static str {
    if code.digits == "000000" { "000001" } else { "000000" }
}

#[test]
fn a_tablet_is_paired_once_and_known_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let code = Pairings::new(state.path()).issue(NOW).unwrap();
    let token = Pairings::new(state.path()).pair(NOW, &code.digits, "till").unwrap();
    let after_restart = Pairings::new(state.path());
    assert!(after_restart.knows(&token));
    assert!(!after_restart.knows(&Token::from_cookie("0".repeat(64).as_str())));
    let again = after_restart.pair(NOW, &code.digits, "thief");
    assert!(matches!(again, Err(PairingError::NoCode)), "a code is spent: {again:?}");
}

#[test]
fn a_revoked_tablet_is_unknown_at_once() {
    let state = tempfile::tempdir().unwrap();
    let pairings = Pairings::new(state.path());
    let code = pairings.issue(NOW).unwrap();
    let token = pairings.pair(NOW, &code.digits, "till").unwrap();
    let tablet = pairings.list().unwrap().remove(0);
    assert_eq!((tablet.label.as_str(), tablet.paired_at), ("till", NOW));
    assert!(pairings.revoke("").is_err(), "nothing said, nothing revoked");
    assert_eq!(pairings.revoke(&tablet.id).unwrap(), tablet);
    assert!(!pairings.knows(&token));
}

#[test]
fn wrong_codes_are_counted_across_restarts() {
    let state = tempfile::tempdir().unwrap();
    let code = Pairings::new(state.path()).issue(NOW).unwrap();
    let after_restart = || Pairings::new(state.path());
    for _ in 0..4 {
        let refusal = after_restart().pair(NOW, other_than(&code), "");
        assert!(matches!(refusal, Err(PairingError::Wrong)));
    }
    assert!(matches!(after_restart().pair(NOW, other_than(&code), ""), Err(PairingError::TooMany)));
    assert!(matches!(after_restart().pair(NOW, &code.digits, ""), Err(PairingError::NoCode)));
}

#[test]
fn an_unpaired_client_cannot_invalidate_every_new_code() {
    let state = tempfile::tempdir().unwrap();
    let pairings = Pairings::new(state.path());
    let short = pairings.issue(NOW).unwrap();
    while !matches!(pairings.pair(NOW, other_than(&short), ""), Err(PairingError::TooMany)) {}
    let long = pairings.issue(NOW).unwrap();
    assert_eq!((short.digits.len(), long.digits.len()), (SHORT_DIGITS, LONG_DIGITS));
    for _ in 0..100 {
        let refusal = pairings.pair(NOW, other_than(&short), "");
        assert!(matches!(refusal, Err(PairingError::Wrong)));
    }
    assert!(pairings.pair(NOW, &long.digits, "till").is_ok());
    let next = pairings.issue(NOW).unwrap();
    assert_eq!(next.digits.len(), LONG_DIGITS, "the guesser may still be there");
    let next_day = pairings.issue(NOW.plus(GUARDED)).unwrap();
    assert_eq!(next_day.digits.len(), SHORT_DIGITS);
}

#[test]
fn a_damaged_code_file_does_not_stop_pairing() {
    let state = tempfile::tempdir().unwrap();
    let pairings = Pairings::new(state.path());
    pairings.issue(NOW).unwrap();
    fs::write(state.path().join("tablets").join(CODE_FILE), [0; 20]).unwrap();
    assert!(matches!(pairings.pair(NOW, "000000", ""), Err(PairingError::NoCode)));
    let code = pairings.issue(NOW).unwrap();
    assert!(pairings.pair(NOW, &code.digits, "").is_ok());
}

#[test]
fn a_code_lives_ten_minutes_and_not_longer_by_a_clock_stepped_back() {
    let state = tempfile::tempdir().unwrap();
    let pairings = Pairings::new(state.path());
    let code = pairings.issue(NOW).unwrap();
    let late = pairings.pair(NOW.plus(CODE_LIVES), &code.digits, "");
    assert!(matches!(late, Err(PairingError::NoCode)));
    let back = WallTime::from_unix_millis(NOW.unix_millis() - 1);
    assert!(matches!(pairings.pair(back, &code.digits, ""), Err(PairingError::NoCode)));
}

#[test]
fn the_folder_is_for_its_owner_only_and_holds_no_token() {
    let state = tempfile::tempdir().unwrap();
    let pairings = Pairings::new(state.path());
    let code = pairings.issue(NOW).unwrap();
    let token = pairings.pair(NOW, &code.digits, "till").unwrap();
    let folder = state.path().join("tablets");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let content = fs::read_to_string(&path).unwrap() + &path.to_string_lossy();
        assert!(!content.contains(token.as_str()));
    }
}
