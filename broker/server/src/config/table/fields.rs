//! From a field of the options to a [`Value`] and back.

use std::path::PathBuf;

use crate::config::kind::Value;

/// A field type that keys may have. A value of another type than the field's leaves it as it is: the key's
/// kind has already refused it.
pub trait Slot {
    fn load(&self) -> Value;
    fn store(&mut self, value: Value);
}

impl Slot for bool {
    fn load(&self) -> Value {
        Value::Switch(*self)
    }
    fn store(&mut self, value: Value) {
        if let Value::Switch(on) = value {
            *self = on;
        }
    }
}

macro_rules! number_slots {
    ($($number:ty),*) => {$(
        impl Slot for $number {
            fn load(&self) -> Value {
                Value::Number(u64::try_from(*self).unwrap_or(u64::MAX))
            }
            fn store(&mut self, value: Value) {
                if let Value::Number(number) = value {
                    *self = Self::try_from(number).unwrap_or(Self::MAX);
                }
            }
        }
    )*};
}
number_slots!(u16, u32, u64, usize);

impl Slot for String {
    fn load(&self) -> Value {
        Value::Text(self.clone())
    }
    fn store(&mut self, value: Value) {
        if let Value::Text(text) = value {
            *self = text;
        }
    }
}

impl Slot for PathBuf {
    fn load(&self) -> Value {
        Value::Text(self.to_string_lossy().into_owned())
    }
    fn store(&mut self, value: Value) {
        if let Value::Text(text) = value {
            *self = Self::from(text);
        }
    }
}

impl Slot for Vec<String> {
    fn load(&self) -> Value {
        Value::Texts(self.clone())
    }
    fn store(&mut self, value: Value) {
        if let Value::Texts(texts) = value {
            *self = texts;
        }
    }
}

impl<S: Slot + Default> Slot for Option<S> {
    fn load(&self) -> Value {
        self.as_ref().map_or(Value::Unset, Slot::load)
    }
    fn store(&mut self, value: Value) {
        *self = match value {
            Value::Unset => None,
            value => {
                let mut inner = S::default();
                inner.store(value);
                Some(inner)
            }
        };
    }
}

impl Value {
    /// The text, or nothing when it is another kind of value.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }
}

/// The [`Field`](crate::config::schema::Field) of a plain field: `at!(Options, nats.listen.port)`.
macro_rules! at {
    ($owner:ty, $($field:ident).+) => {
        $crate::config::schema::Field {
            get: |owner: &$owner| Slot::load(&owner.$($field).+),
            set: |owner: &mut $owner, value| Slot::store(&mut owner.$($field).+, value),
        }
    };
}

/// As `at!`, for a text that is not set when it is empty.
macro_rules! empty_is_unset {
    ($owner:ty, $($field:ident).+) => {
        $crate::config::schema::Field {
            get: |owner: &$owner| match owner.$($field).+.as_str() {
                "" => Value::Unset,
                text => Value::Text(text.to_owned()),
            },
            set: |owner: &mut $owner, value| owner.$($field).+ = value.as_text().to_owned(),
        }
    };
}

pub(super) use {at, empty_is_unset};
