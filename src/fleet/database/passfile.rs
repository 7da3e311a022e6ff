//! Passwords for servers, from the file that libpq has for them
//! (<https://www.postgresql.org/docs/current/libpq-pgpass.html>).

use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::files;

/// Larger files are refused.
const LARGEST: u64 = 1 << 20;

/// The password of a login: host, port, database, user. `None` where the file does not have it.
///
/// # Errors
/// The file cannot be read, or others can read it.
pub(super) fn password(path: &Path, login: &[String; 4]) -> io::Result<Option<String>> {
    let file = files::open_regular(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        return Err(io::Error::other("others can open it: chmod 600"));
    }
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text.lines().find_map(|line| entry(line, login)))
}

/// `host:port:database:user:password`; `*` stands for any, and `\` before `:` or `\` for itself.
fn entry(line: &str, login: &[String; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < login.len() => fields.push(std::mem::take(&mut field)),
            '\\' => field.extend(characters.next()),
            character => field.push(character),
        }
    }
    let is_meant = |(field, wanted): (&String, &String)| field == "*" || field == wanted;
    let is_whole = fields.len() == login.len();
    (is_whole && fields.iter().zip(login).all(is_meant)).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let login = ["db.example", "5432", "grelot", "fleet"].map(str::to_owned);
        for (line, password) in [
            ("db.example:5432:grelot:fleet:secret", Some("secret")),
            (r"*:*:*:fleet:se\:c\\ret:x", Some(r"se:c\ret:x")),
            ("db.example:5432:grelot:other:secret", None),
            ("# db.example:5432:grelot:fleet:secret", None),
            ("db.example:5432:grelot:fleet", None),
            ("", None),
        ] {
            assert_eq!(entry(line, &login).as_deref(), password, "{line}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:secret\n").unwrap();
        let open = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            password(&path, &[const { String::new() }; 4])
        };
        assert_eq!(open(0o600).unwrap().as_deref(), Some("secret"));
        assert!(open(0o640).unwrap_err().to_string().contains("chmod 600"));
    }
}
