//! Signals: HUP reloads; TERM and INT end the server.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::AppError;

/// A stream with one entry per HUP signal.
///
/// # Errors
/// When the handler cannot be installed.
pub fn reloads() -> Result<mpsc::Receiver<()>, AppError> {
    let mut hangups = install(SignalKind::hangup())?;
    let (send, receive) = mpsc::channel(1);
    // Ends by itself: with the receiver, the next signal has nowhere to go.
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            // A reload that is already waiting covers this signal too.
            if let Err(mpsc::error::TrySendError::Closed(())) = send.try_send(()) {
                break;
            }
        }
    });
    Ok(receive)
}

/// Ends at the first TERM or INT signal. A second one ends the process at once, whether anybody has looked at the first
/// one or not.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn shutdown() -> Result<impl Future<Output = ()>, AppError> {
    let mut terminate = install(SignalKind::terminate())?;
    let mut interrupt = install(SignalKind::interrupt())?;
    let (first, asked) = oneshot::channel();
    // Ends with the process.
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        let _ = first.send(());
        next().await;
        tracing::warn!("second signal received; exiting immediately");
        std::process::exit(1);
    });
    Ok(async move {
        let _ = asked.await;
    })
}

fn install(kind: SignalKind) -> Result<tokio::signal::unix::Signal, AppError> {
    signal(kind).map_err(|source| AppError::Io { action: "install a signal handler", source })
}
