//! Unix sockets in the state folder, through which commands ask the running daemon. Only the
//! service's user and root can open them.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::state_file;

/// Opens the socket at `path`, in the place of one whose daemon died; refuses where one lives.
///
/// # Errors
/// Where another daemon serves it, or it cannot be made.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        let what = format!("another grelot runs on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Opens the socket at `path` for `command`. `None` where the disk takes no socket (full, read-only,
/// not permitted): the gateway works without it, and the reason is logged.
///
/// # Errors
/// Where another daemon serves it, or the system has no descriptor left.
pub fn listen_if_writable(path: &Path, command: &str) -> io::Result<Option<UnixListener>> {
    match listen(path) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_without_folder(error.kind()) => {
            tracing::error!(path = %path.display(), %error, "`{command}` cannot reach this gateway");
            Ok(None)
        }
        Err(error) => {
            let what = format!("cannot answer `{command}` on {}: {error}", path.display());
            Err(io::Error::new(error.kind(), what))
        }
    }
}

fn is_without_folder(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::NotFound || state_file::is_unwritable(kind)
}

/// Serves one client after the other until stopped, then removes the socket.
pub async fn serve<A: Future<Output = ()>>(
    listener: UnixListener,
    stop: CancellationToken,
    answer: impl Fn(UnixStream) -> A,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: do not spin.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = answer(stream) => {}
        }
    }
    if let Ok(address) = listener.local_addr()
        && let Some(path) = address.as_pathname()
    {
        let _ = std::fs::remove_file(path);
    }
}
