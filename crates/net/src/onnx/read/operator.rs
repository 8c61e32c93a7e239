//! An operator of the graph, with what it reads made out: constants, and values that depend on the network's input.

use std::cell::RefCell;

use super::constant::{Constant, Int};
use super::draft::{Arg, Content, Draft, ValueId};
use super::moving::Room;
use super::proto::Attribute;
use super::wire::Reason;
use crate::{Pair, Sides};

/// Codes of `AttributeProto.AttributeType`.
const FLOAT: i64 = 1;
const INT: i64 = 2;
const TEXT: i64 = 3;
const FLOATS: i64 = 6;
const INTS: i64 = 7;

/// An operator and its surroundings.
pub(super) struct Operator<'a> {
    pub(super) kind: &'a str,
    /// Version of the operators' meanings.
    pub(super) opset: i64,
    pub(super) args: Vec<Arg>,
    /// How many outputs it has.
    pub(super) outputs: usize,
    pub(super) draft: &'a Draft,
    pub(super) room: &'a Room,
    /// The size of the batch where the file fixes it.
    pub(super) batch: Option<i64>,
    attributes: &'a [Attribute<'a>],
    /// Attributes that were asked for: one that nobody asked for may mean something.
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Operator<'a> {
    pub(super) fn new(
        (kind, opset, batch): (&'a str, i64, Option<i64>),
        (attributes, args, outputs): (&'a [Attribute<'a>], Vec<Arg>, usize),
        (draft, room): (&'a Draft, &'a Room),
    ) -> Self {
        Self { kind, opset, args, outputs, draft, room, batch, attributes, asked: RefCell::default() }
    }

    fn attribute(&self, name: &'static str) -> Option<&'a Attribute<'a>> {
        self.asked.borrow_mut().push(name);
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    fn typed(&self, name: &'static str, kind: i64) -> Result<Option<&'a Attribute<'a>>, Reason> {
        match self.attribute(name) {
            Some(found) if found.kind != kind && found.kind != 0 => {
                Err(format!("an attribute {name:?} of type {}, expected {kind}", found.kind))
            }
            found => Ok(found),
        }
    }

    pub(super) fn int(&self, name: &'static str) -> Result<Option<i64>, Reason> {
        Ok(self.typed(name, INT)?.map(|found| found.int.unwrap_or(0)))
    }

    pub(super) fn float(&self, name: &'static str) -> Result<Option<f32>, Reason> {
        Ok(self.typed(name, FLOAT)?.map(|found| found.float.unwrap_or(0.0)))
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<&'a str>, Reason> {
        let found = self.typed(name, TEXT)?.map(|found| std::str::from_utf8(found.text.unwrap_or_default()));
        found.transpose().map_err(|_| format!("an attribute {name:?} that is not UTF-8"))
    }

    pub(super) fn ints(&self, name: &'static str) -> Result<Option<&'a [i64]>, Reason> {
        Ok(self.typed(name, INTS)?.map(|found| found.ints.as_slice()))
    }

    pub(super) fn floats(&self, name: &'static str) -> Result<Option<&'a [f32]>, Reason> {
        Ok(self.typed(name, FLOATS)?.map(|found| found.floats.as_slice()))
    }

    pub(super) fn tensor(&self, name: &'static str) -> Result<Option<Constant>, Reason> {
        let stored = self.attribute(name).and_then(|found| found.tensor.as_ref());
        if stored.is_some_and(|stored| stored.external) {
            return Err(format!(
                "an attribute {name:?} whose values are in another file; store them as an initializer"
            ));
        }
        stored.map(|stored| Constant::decode(stored, None)).transpose()
    }

    /// Whether an attribute, 0 where it is missing, is other than 0.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Reason> {
        Ok(self.int(name)?.unwrap_or(0) != 0)
    }

    /// Takes note of attributes that change nothing of what is read.
    pub(super) fn ignore(&self, names: &[&'static str]) {
        self.asked.borrow_mut().extend(names);
    }

    /// Fails if there is an attribute that nobody asked for.
    pub(super) fn all_asked(&self) -> Result<(), Reason> {
        let asked = self.asked.borrow();
        match self.attributes.iter().find(|attribute| !asked.contains(&attribute.name)) {
            Some(unknown) => Err(format!("the attribute {:?}", unknown.name)),
            None => Ok(()),
        }
    }

    /// The value that input `i` is; `None` for a constant or a missing input.
    pub(super) fn value(&self, i: usize) -> Option<ValueId> {
        match self.args.get(i) {
            Some(Arg::Value(id)) => Some(*id),
            _ => None,
        }
    }

    /// The value that input `i` must be, in whatever arrangement.
    pub(super) fn any_value(&self, i: usize) -> Result<ValueId, Reason> {
        self.value(i).ok_or_else(|| format!("a constant or missing input {i} where one that is computed is expected"))
    }

    /// The layer's output that input `i` must be, and its shape.
    pub(super) fn layered(&self, i: usize) -> Result<(ValueId, &'a [usize]), Reason> {
        let id = self.any_value(i)?;
        self.draft.expect_layer(id)?;
        Ok((id, &self.draft.step(id).dims))
    }

    /// An image (c, h, w) at input 0.
    pub(super) fn image(&self) -> Result<(ValueId, [usize; 3]), Reason> {
        let (id, dims) = self.layered(0)?;
        let dims = dims.try_into().map_err(|_| format!("{dims:?}, expected an image (c, h, w)"))?;
        Ok((id, dims))
    }

    /// Features at input 0.
    pub(super) fn features(&self) -> Result<(ValueId, usize), Reason> {
        match self.layered(0)? {
            (id, &[n]) => Ok((id, n)),
            (_, dims) => Err(format!("{dims:?}, expected features (n)")),
        }
    }

    /// The constant that input `i` is; `None` where there is no input. One that is computed is refused.
    pub(super) fn constant(&self, i: usize, what: &str) -> Result<Option<&Constant>, Reason> {
        match self.args.get(i) {
            None | Some(Arg::Absent) => Ok(None),
            Some(Arg::Constant(constant)) => Ok(Some(constant)),
            Some(Arg::Zeros(_)) => Err(format!("zeros for each example as its {what}, expected stored values")),
            Some(Arg::Value(id)) => {
                let node = &self.draft.step(*id).node;
                Err(format!("its {what} computed by node {node:?}, expected stored values"))
            }
        }
    }

    /// The constant that input `i` must be.
    pub(super) fn stored(&self, i: usize, what: &str) -> Result<&Constant, Reason> {
        self.constant(i, what)?.ok_or_else(|| format!("no {what}"))
    }

    /// Whole numbers from an input in later opsets, from an attribute in earlier ones.
    pub(super) fn ints_at(&self, i: usize, name: &'static str) -> Result<Option<Vec<i64>>, Reason> {
        match self.ints(name)? {
            Some(ints) => Ok(Some(ints.to_vec())),
            None => self.constant(i, name)?.map(Constant::known).transpose(),
        }
    }

    /// Positive numbers (h, w) of an attribute.
    pub(super) fn pair(&self, name: &'static str) -> Result<Option<Pair>, Reason> {
        let Some(found) = self.ints(name)? else { return Ok(None) };
        match found.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect::<Vec<_>>()[..] {
            [h, w] if h > 0 && w > 0 => Ok(Some(Pair { h, w })),
            _ => Err(format!("{name} {found:?}, expected two positive numbers")),
        }
    }

    /// Zero padding of an image (h, w) under a window that reaches over `extent`.
    pub(super) fn padding(&self, (h, w): (usize, usize), extent: Pair, stride: Pair) -> Result<Sides, Reason> {
        let pads = self.ints("pads")?;
        let same = |n: usize, extent: usize, stride: usize| {
            (n.div_ceil(stride) - 1).saturating_mul(stride).saturating_add(extent).saturating_sub(n)
        };
        let (rows, columns) = (same(h, extent.h, stride.h), same(w, extent.w, stride.w));
        let half = |n: usize, first_less: bool| if first_less { (n / 2, n - n / 2) } else { (n - n / 2, n / 2) };
        let upper = match self.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => return pads.map_or(Ok(Sides::default()), sides),
            "VALID" => return Ok(Sides::default()),
            "SAME_UPPER" => true,
            "SAME_LOWER" => false,
            other => return Err(format!("the padding {other:?}")),
        };
        let ((top, bottom), (left, right)) = (half(rows, upper), half(columns, upper));
        Ok(Sides { top, left, bottom, right })
    }

    /// Whether a dimension is that of the batch.
    pub(super) fn is_batch(&self, dim: Int) -> bool {
        dim == Int::Batch || self.batch.is_some_and(|batch| dim == Int::Known(batch))
    }

    /// Whether an input is a part of something, which may be understood later on.
    pub(super) fn loose(&self) -> Option<Reason> {
        let reason = |arg: &Arg| match arg {
            Arg::Value(id) => match &self.draft.step(*id).content {
                Content::Loose(reason) => Some(reason.clone()),
                _ => None,
            },
            _ => None,
        };
        self.args.iter().find_map(reason)
    }
}

/// Pads in ONNX's order: top, left, bottom, right.
fn sides(pads: &[i64]) -> Result<Sides, Reason> {
    match pads.iter().map(|&n| usize::try_from(n)).collect::<Result<Vec<_>, _>>().as_deref() {
        Ok(&[top, left, bottom, right]) => Ok(Sides { top, left, bottom, right }),
        _ => Err(format!("pads {pads:?}, expected four numbers, none of them negative")),
    }
}
