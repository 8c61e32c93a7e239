//! The messages of an ONNX file, as much of them as is read. Names and values are borrowed from the bytes of the file.

use super::wire::{Fields, Reason, Wire};

/// The most messages of one kind that a message may hold: an empty one takes two bytes in a file and a hundred here.
const MOST: usize = 1 << 17;

/// What a message makes of one of its fields.
pub(super) trait Message<'a>: Default {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason>;
}

pub(super) fn parse<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, Reason> {
    let mut message = M::default();
    for field in Fields::of(bytes) {
        let (number, value) = field?;
        message.field(number, value)?;
    }
    Ok(message)
}

fn inner<'a, M: Message<'a>>(what: &str, value: Wire<'a>) -> Result<M, Reason> {
    value.bytes().and_then(parse).map_err(|reason| format!("{what}: {reason}"))
}

fn push<'a, M: Message<'a>>(list: &mut Vec<M>, what: &str, value: Wire<'a>) -> Result<(), Reason> {
    if list.len() == MOST {
        return Err(format!("more than {MOST} times {what}"));
    }
    let number = list.len();
    list.push(inner(&format!("{what} {number}"), value)?);
    Ok(())
}

#[derive(Debug, Default)]
pub(super) struct Model<'a> {
    pub(super) producer: &'a str,
    pub(super) version: &'a str,
    pub(super) doc: &'a str,
    pub(super) graph: Option<Graph<'a>>,
    pub(super) opsets: Vec<Opset<'a>>,
    pub(super) metadata: Vec<Entry<'a>>,
}

impl<'a> Message<'a> for Model<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            // Texts for people: a file whose network can be read is not refused for one of them.
            2 => self.producer = value.text().unwrap_or_default(),
            3 => self.version = value.text().unwrap_or_default(),
            6 => self.doc = value.text().unwrap_or_default(),
            14 if self.metadata.len() < MOST => self.metadata.extend(inner("metadata", value).ok()),
            7 if self.graph.is_some() => return Err("two graphs".into()),
            7 => self.graph = Some(inner("graph", value)?),
            8 => push(&mut self.opsets, "opset", value)?,
            _ => {}
        }
        Ok(())
    }
}

/// A domain of operators and the version in which the file means them.
#[derive(Debug, Default)]
pub(super) struct Opset<'a> {
    pub(super) domain: &'a str,
    pub(super) version: i64,
}

impl<'a> Message<'a> for Opset<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.domain = value.text()?,
            2 => self.version = value.int()?,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) stored: Vec<Stored<'a>>,
    pub(super) inputs: Vec<Described<'a>>,
    pub(super) outputs: Vec<Described<'a>>,
}

impl<'a> Message<'a> for Graph<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => push(&mut self.nodes, "node", value),
            5 => push(&mut self.stored, "initializer", value),
            11 => push(&mut self.inputs, "input", value),
            12 => push(&mut self.outputs, "output", value),
            _ => Ok(()),
        }
    }
}

/// An operator and the names of what it reads and makes.
#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) name: &'a str,
    pub(super) kind: &'a str,
    pub(super) domain: &'a str,
    pub(super) attributes: Vec<Attribute<'a>>,
    pub(super) remarks: Vec<Entry<'a>>,
}

impl<'a> Message<'a> for Node<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.inputs.push(value.text()?),
            2 => self.outputs.push(value.text()?),
            3 => self.name = value.text()?,
            4 => self.kind = value.text()?,
            5 => push(&mut self.attributes, "attribute", value)?,
            7 => self.domain = value.text()?,
            9 => push(&mut self.remarks, "remark", value)?,
            _ => {}
        }
        Ok(())
    }
}

/// A setting of an operator: the field that its kind names holds the value.
#[derive(Debug, Default)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) kind: i64,
    pub(super) float: Option<f32>,
    pub(super) int: Option<i64>,
    pub(super) text: Option<&'a [u8]>,
    pub(super) tensor: Option<Stored<'a>>,
    pub(super) floats: Vec<f32>,
    pub(super) ints: Vec<i64>,
}

impl<'a> Message<'a> for Attribute<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.name = value.text()?,
            2 => self.float = Some(value.float()?),
            3 => self.int = Some(value.int()?),
            4 => self.text = Some(value.bytes()?),
            5 => self.tensor = Some(inner("tensor", value)?),
            7 => value.floats(&mut self.floats)?,
            8 => value.ints(&mut self.ints)?,
            20 => self.kind = value.int()?,
            _ => {} // graphs of Loop and If among them: such operators are refused by their kind
        }
        Ok(())
    }
}

/// A tensor with its values, in one of five fields or in a file beside the model.
#[derive(Debug, Default)]
pub(super) struct Stored<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) kind: i64,
    pub(super) raw: Option<&'a [u8]>,
    pub(super) floats: Vec<f32>,
    pub(super) doubles: Vec<f64>,
    pub(super) ints: Vec<i64>,
    pub(super) external: bool,
    pub(super) place: Vec<Entry<'a>>,
}

impl<'a> Message<'a> for Stored<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => value.ints(&mut self.dims),
            2 => value.int().map(|kind| self.kind = kind),
            4 => value.floats(&mut self.floats),
            5 | 7 | 11 => value.ints(&mut self.ints), // int32, int64, uint64
            8 => value.text().map(|name| self.name = name),
            9 => value.bytes().map(|raw| self.raw = Some(raw)),
            10 => value.doubles(&mut self.doubles),
            13 => push(&mut self.place, "place", value),
            14 => value.int().map(|place| self.external = place == 1),
            _ => Ok(()),
        }
        .map_err(|reason| if self.name.is_empty() { reason } else { format!("{:?}: {reason}", self.name) })
    }
}

/// A text under a key.
#[derive(Debug, Default)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Message<'a> for Entry<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.key = value.text()?,
            2 => self.value = value.text()?,
            _ => {}
        }
        Ok(())
    }
}

/// A value at the edge of the graph: its name, type and dimensions.
#[derive(Debug, Default)]
pub(super) struct Described<'a> {
    pub(super) name: &'a str,
    /// Code of the numbers' type; 0 where it is no tensor.
    pub(super) kind: i64,
    /// A dimension without a number is none; no dimensions at all where the file does not say.
    pub(super) dims: Option<Vec<Option<i64>>>,
}

impl<'a> Message<'a> for Described<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.name = value.text()?,
            2 => {
                let Nested(tensor) = inner("type", value)?;
                let Some(tensor) = tensor else { return Ok(()) };
                let TensorType { kind, dims } = inner("tensor type", tensor)?;
                (self.kind, self.dims) = (kind, dims);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Field 1 of a message that is of no other interest.
#[derive(Default)]
struct Nested<'a>(Option<Wire<'a>>);

impl<'a> Message<'a> for Nested<'a> {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        if number == 1 {
            self.0 = Some(value);
        }
        Ok(())
    }
}

#[derive(Default)]
struct TensorType {
    kind: i64,
    dims: Option<Vec<Option<i64>>>,
}

impl<'a> Message<'a> for TensorType {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        match number {
            1 => self.kind = value.int()?,
            2 => {
                let Dims(dims) = inner("shape", value)?;
                self.dims = Some(dims);
            }
            _ => {}
        }
        Ok(())
    }
}

#[derive(Default)]
struct Dims(Vec<Option<i64>>);

impl<'a> Message<'a> for Dims {
    fn field(&mut self, number: u64, value: Wire<'a>) -> Result<(), Reason> {
        if number == 1 {
            let Nested(size) = inner("dimension", value)?;
            self.0.push(size.map(Wire::int).transpose()?);
        }
        Ok(())
    }
}
