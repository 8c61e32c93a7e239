//! Sums and products of values all of which are computed.

use super::draft::{Chain, Content, Outcome, ValueId};
use super::operator::Operator;
use super::wire::Reason;
use crate::layers::{Add, Mul};

/// Values of equal shape.
pub(super) fn sum(op: &Operator<'_>) -> Result<Outcome, Reason> {
    let inputs = (0..op.args.len()).map(|i| op.layered(i)).collect::<Result<Vec<_>, _>>()?;
    match inputs.iter().find(|(_, dims)| *dims != inputs[0].1) {
        Some((_, other)) => Err(format!("{:?} and {other:?}, expected equal shapes", inputs[0].1)),
        None => Ok(Chain::plain(inputs.into_iter().map(|input| input.0).collect(), Add).into()),
    }
}

/// Equal shapes, or an image and a number for each of its channels.
pub(super) fn product(op: &Operator<'_>, [a, b]: [ValueId; 2]) -> Result<Outcome, Reason> {
    let ((first, of_first), (second, of_second)) = (factor(op, a)?, factor(op, b)?);
    let real = [first, second].map(|id| &op.draft.step(id).dims[..]);
    let plain = [of_first == real[0], of_second == real[1]];
    let gates = |whole: &[usize], gate: &[usize], real: &[usize]| {
        let seen = gate == whole || (gate.len() == 3 && gate[1..] == [1, 1]);
        whole.len() == 3 && seen && (*real == [whole[0]] || *real == [whole[0], 1, 1])
    };
    let fits = (plain == [true; 2] && real[0] == real[1])
        || (plain[0] && gates(real[0], of_second, real[1]))
        || (plain[1] && gates(real[1], of_first, real[0]));
    match fits {
        true => Ok(Chain::plain(vec![first, second], Mul).into()),
        false => Err(format!("{of_first:?} and {of_second:?}, expected equal shapes or one number for each channel")),
    }
}

/// The layer whose output a factor is, and the shape in which it counts.
fn factor<'a>(op: &Operator<'a>, id: ValueId) -> Result<(ValueId, &'a [usize]), Reason> {
    let step = op.draft.step(id);
    match &step.content {
        // A gate for each channel: features (c), seen as an image of one position.
        Content::Moved(moved) if op.draft.is_all_of(moved) => match op.draft.step(moved.of).dims.len() {
            1 => Ok((moved.of, &step.dims)),
            _ => Err("numbers in another arrangement".into()),
        },
        Content::Expanded(of) => Ok((factor(op, *of)?.0, &step.dims)),
        _ => op.draft.expect_layer(id).map(|()| (id, &step.dims[..])),
    }
}
