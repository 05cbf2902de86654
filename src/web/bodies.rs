//! Bodies of requests. All that are in memory at once are bounded: a request whose body finds no room is refused.

use std::sync::Arc;

use axum::body::Body;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory for bodies. Clones share it.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Takes `bytes` of it, if there are as many.
    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok()
    }

    /// Bytes that are free.
    #[cfg(test)]
    pub fn free(&self) -> usize {
        self.0.available_permits()
    }
}

/// Bytes of a [`Room`], which are free again when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Counted(Option<OwnedSemaphorePermit>);

impl Counted {
    /// Counts `more` bytes.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`]
    pub(super) fn grow(&mut self, more: usize, room: &Room) -> Result<(), BodyError> {
        let more = room.take(more).ok_or(BodyError::NoRoom)?;
        match &mut self.0 {
            Some(before) => before.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It did not come.
    #[error("failed to read the request: {0}")]
    Broken(axum::Error),
    /// It is larger than it may be, which is told in bytes.
    #[error("request exceeds {0} bytes")]
    TooLarge(usize),
    /// It is no form in parts.
    #[error("failed to read the form: {0}")]
    Multipart(multer::Error),
    /// All bodies together are larger than they may be.
    #[error("too much request data is pending, try again later")]
    NoRoom,
}

/// Reads a body of at most `max` bytes, which count in `room` while they come and as long as the count lives.
///
/// # Errors
/// When it is too large, does not come, or there is no room for it.
pub(super) async fn read(body: Body, max: usize, room: &Room) -> Result<(Vec<u8>, Counted), BodyError> {
    let (mut pieces, mut bytes, mut counted) = (body.into_data_stream(), Vec::new(), Counted::default());
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(BodyError::Broken)?;
        if bytes.len() + piece.len() > max {
            return Err(BodyError::TooLarge(max));
        }
        counted.grow(piece.len(), room)?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, counted))
}

/// Request bodies larger than this are refused.
pub(super) const MAX_BODY_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_count_while_they_are_in_memory() {
        let room = Room::new(10);
        let read = async |text: &'static str| read(Body::from(text), 8, &room).await;
        let first = read("123456").await.expect("there is room");
        assert_eq!((first.0.as_slice(), room.free()), (b"123456".as_slice(), 4));
        assert!(matches!(read("12345").await, Err(BodyError::NoRoom)));
        assert!(matches!(read("123456789").await, Err(BodyError::TooLarge(8))));
        let second = read("1234").await.expect("just fits");
        drop((first, second));
        assert_eq!(room.free(), 10);
    }
}
