//! What is kept of the objects of a cluster, and how it is read from what the API says.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::backends::{Backends, WireEndpoints, WireSlice};
use super::kind::Kind;
use super::metadata::{Key, Metadata};
use super::pod::{Pod, WirePod};
use super::standalone::{Standalone, WireIngress, WireNode, WireService};
use crate::model::{Labels, LabelsBuf};

/// More objects of a kind than a cluster has.
pub(super) const MAX_OBJECTS: usize = 1_000_000;

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Object {
    Standalone(Standalone),
    Pod(Pod),
    Backends(Backends),
    /// A service that backends belong to.
    Service {
        labels: Labels,
        /// The kind of address that counts where it has both.
        primary_family: Option<String>,
    },
    /// Labels that others get.
    Labels(Labels),
    /// The name of what manages it, if that is of the kind that is asked for.
    Owned(Option<String>),
}

/// Objects by their kinds and keys.
#[derive(Debug, Default)]
pub(super) struct Objects(HashMap<Kind, HashMap<Key, Object>>);

impl Objects {
    pub(super) fn get(&self, kind: Kind, key: &str) -> Option<&Object> {
        self.0.get(&kind)?.get(key)
    }

    pub(super) fn of(&mut self, kind: Kind) -> &mut HashMap<Key, Object> {
        self.0.entry(kind).or_default()
    }
}

/// An object with its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) namespace: String,
    pub(super) key: Key,
    pub(super) object: Object,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) objects: Vec<Placed>,
    /// The state of the cluster that the list shows.
    pub(super) version: String,
    /// How to ask for the next page; empty at the end.
    pub(super) next: String,
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Told {
    /// There is a new object, or one has changed.
    Put { placed: Placed, version: String, is_new: bool },
    /// There is one no more.
    Gone { placed: Placed, version: String },
    /// The state of the cluster until which everything was told.
    Bookmark { version: String },
    /// The watch is over.
    Error { code: i64, message: String },
}

/// What the API says of an object of some kind.
trait Wire: DeserializeOwned {
    fn metadata(&self) -> &Metadata;
    fn object(self) -> Object;

    fn placed(self) -> Placed {
        let (namespace, key) = (self.metadata().namespace.clone(), self.metadata().key());
        Placed { namespace, key, object: self.object() }
    }
}

macro_rules! wire {
    ($wire:ty, $kept:path) => {
        impl Wire for $wire {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }

            fn object(self) -> Object {
                $kept(self.into())
            }
        }
    };
}

wire!(WirePod, Object::Pod);
wire!(WireService, Object::Standalone);
wire!(WireIngress, Object::Standalone);
wire!(WireNode, Object::Standalone);
wire!(WireEndpoints, Object::Backends);
wire!(WireSlice, Object::Backends);

/// A service of which others tell.
#[derive(Deserialize)]
#[serde(transparent)]
struct ServiceOfOthers(WireService);

impl Wire for ServiceOfOthers {
    fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    fn object(self) -> Object {
        Object::Service { labels: self.0.labels(), primary_family: self.0.primary_family() }
    }
}

#[derive(Deserialize)]
struct OnlyMetadata {
    #[serde(default)]
    metadata: Metadata,
}

macro_rules! wire_metadata {
    ($name:ident, $kept:expr) => {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct $name(OnlyMetadata);

        impl Wire for $name {
            fn metadata(&self) -> &Metadata {
                &self.0.metadata
            }

            fn object(self) -> Object {
                let kept: fn(&Metadata) -> Object = $kept;
                kept(&self.0.metadata)
            }
        }
    };
}

wire_metadata!(NodeOfOthers, |metadata| {
    let mut labels = LabelsBuf::new();
    metadata.name_and_describe(&mut labels, "node");
    Object::Labels(labels.to_labels())
});
wire_metadata!(NamespaceOfOthers, |metadata| {
    let mut labels = LabelsBuf::new();
    metadata.describe(&mut labels, "namespace");
    Object::Labels(labels.to_labels())
});
wire_metadata!(ReplicaSet, |metadata| Object::Owned(metadata.controlled_by("Deployment")));
wire_metadata!(Job, |metadata| Object::Owned(metadata.controlled_by("CronJob")));

/// How objects of one kind are read.
pub(super) struct Reader {
    pub(super) page: fn(&[u8]) -> Result<Page, serde_json::Error>,
    pub(super) told: fn(&[u8]) -> Result<Told, serde_json::Error>,
}

impl Reader {
    /// That of objects of `kind`.
    pub(super) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Pods => Self::new::<WirePod>(),
            Kind::Services => Self::new::<WireService>(),
            Kind::Endpoints => Self::new::<WireEndpoints>(),
            Kind::EndpointSlices => Self::new::<WireSlice>(),
            Kind::Nodes => Self::new::<WireNode>(),
            Kind::Ingresses => Self::new::<WireIngress>(),
            Kind::ServicesOfOthers => Self::new::<ServiceOfOthers>(),
            Kind::NodesOfOthers => Self::new::<NodeOfOthers>(),
            Kind::NamespacesOfOthers => Self::new::<NamespaceOfOthers>(),
            Kind::ReplicaSets => Self::new::<ReplicaSet>(),
            Kind::Jobs => Self::new::<Job>(),
        }
    }

    fn new<W: Wire>() -> Self {
        Self { page: page::<W>, told: told::<W> }
    }
}

#[derive(Deserialize)]
#[serde(bound = "W: Wire")]
struct WireList<W> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default)]
    items: Items<W>,
}

/// The items of a list, each turned at once into what is kept of it.
struct Items<W>(Vec<Placed>, PhantomData<W>);

impl<W> Default for Items<W> {
    fn default() -> Self {
        Self(Vec::new(), PhantomData)
    }
}

impl<'de, W: Wire> Deserialize<'de> for Items<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
    }
}

impl<'de, W: Wire> Visitor<'de> for Items<W> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self, A::Error> {
        while let Some(wire) = items.next_element::<W>()? {
            if self.0.len() == MAX_OBJECTS {
                return Err(A::Error::custom(format_args!("more than {MAX_OBJECTS} objects")));
            }
            self.0.push(wire.placed());
        }
        Ok(self)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

fn page<W: Wire>(body: &[u8]) -> Result<Page, serde_json::Error> {
    let list: WireList<W> = serde_json::from_slice(body)?;
    let ListMetadata { resource_version: version, next } = list.metadata;
    Ok(Page { objects: list.items.0, version, next })
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
enum WireEvent<W> {
    Added(W),
    Modified(W),
    Deleted(W),
    Bookmark(OnlyMetadata),
    Error(Status),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
    message: String,
    reason: String,
}

fn told<W: Wire>(line: &[u8]) -> Result<Told, serde_json::Error> {
    let put = |wire: W, is_new: bool| {
        let version = wire.metadata().resource_version.clone();
        Told::Put { version, placed: wire.placed(), is_new }
    };
    Ok(match serde_json::from_slice(line)? {
        WireEvent::Added(wire) => put(wire, true),
        WireEvent::Modified(wire) => put(wire, false),
        WireEvent::Deleted(wire) => {
            Told::Gone { version: wire.metadata().resource_version.clone(), placed: wire.placed() }
        }
        WireEvent::Bookmark(OnlyMetadata { metadata }) => {
            Told::Bookmark { version: metadata.resource_version }
        }
        WireEvent::Error(Status { code, message, reason }) => {
            Told::Error { code, message: if message.is_empty() { reason } else { message } }
        }
    })
}
