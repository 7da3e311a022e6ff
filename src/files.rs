//! Files that a configuration names: only a regular file is opened.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Opens a regular file to read it.
///
/// # Errors
/// It cannot be opened, or is a pipe, socket, device or folder. Opening a pipe would wait for its
/// other end, and a device may have no end.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Checked again on the open file: the path may have changed meanwhile.
    regular(&std::fs::metadata(path)?)?;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// The certificates of a PEM file.
///
/// # Errors
/// It cannot be opened as a regular file, or is not PEM.
pub fn pem_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let file = open_regular(path).map_err(pem::Error::Io)?;
    CertificateDer::pem_reader_iter(file).collect()
}

/// The private key in a PEM file.
///
/// # Errors
/// It cannot be opened as a regular file, is not PEM, or holds no key.
pub fn pem_key(path: &Path) -> Result<PrivateKeyDer<'static>, pem::Error> {
    PrivateKeyDer::from_pem_reader(open_regular(path).map_err(pem::Error::Io)?)
}

fn regular(found: &std::fs::Metadata) -> io::Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = match () {
        () if kind.is_dir() => "is a folder",
        () if kind.is_fifo() => "is a pipe",
        () if kind.is_socket() => "is a socket",
        () => "is a device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{what}, not a file")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_a_device_and_a_folder_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (pipe.as_path(), "is a pipe, not a file"),
            (&socket, "is a socket, not a file"),
            (Path::new("/dev/zero"), "is a device, not a file"),
            (folder.path(), "is a folder, not a file"),
        ] {
            assert_eq!(open_regular(path).unwrap_err().to_string(), what);
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(open_regular(&file).is_ok());
    }
}
