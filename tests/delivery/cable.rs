//! A cable to the broker that a test can pull.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Forwards connections to a port.
pub struct Cable {
    pub port: u16,
    accept: JoinHandle<()>,
    is_cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Cable {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let forwarded = Arc::clone(&open);
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        let accept = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let forward = tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
                forwarded.lock().unwrap().push(forward);
            }
        });
        Self { port: own, accept, is_cut, open }
    }

    /// Cuts every connection; until it is restored, new ones fail.
    #[allow(dead_code, reason = "tests/cluster does")]
    pub fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
        self.pull();
    }

    /// Cuts every connection; new ones are forwarded again.
    pub fn pull(&self) {
        self.open.lock().unwrap().drain(..).for_each(|forward| forward.abort());
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.accept.abort();
        self.pull();
    }
}
