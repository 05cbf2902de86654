//! The file exactly as written: serde structs with everything optional, one file per section.
//!
//! Unknown keys are refused before decoding, against the tables in `keys`, because a key that is known but not
//! supported deserves another message.

mod discovery;
mod global;
mod relabel;
mod scalar;
mod scrape;
mod storage;

use serde::{Deserialize, Serialize};

pub(super) use discovery::{DnsSd, Static};
pub(super) use global::Global;
pub(super) use relabel::Relabel;
pub(super) use scalar::{Size, Time};
pub(super) use scrape::Scrape;
pub(super) use storage::Storage;

use super::Config;

/// The whole file.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct File {
    pub(super) global: Option<Global>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scrape_configs: Option<Vec<Scrape>>,
}

impl From<&Config> for File {
    fn from(config: &Config) -> Self {
        let scrapes: Vec<_> = config.scrape_configs.iter().map(|job| Scrape::from(&**job)).collect();
        Self {
            global: Some(Global::from(&config.global)),
            storage: Storage::printed(&config.storage),
            scrape_configs: (!scrapes.is_empty()).then_some(scrapes),
        }
    }
}
