//! Values under names, in the order in which they were given.

/// Values under names, in the order in which they were given; a JSON object in a file.
///
/// Layers have an order that means something, and a sorted map would lose it.
///
/// ```
/// use l0_record::Named;
///
/// let open: Named<u64> = serde_json::from_str(r#"{"conv2":18,"conv1":9}"#).unwrap();
/// assert_eq!(open.keys().collect::<Vec<_>>(), ["conv2", "conv1"]);
/// assert_eq!(serde_json::to_string(&open).unwrap(), r#"{"conv2":18,"conv1":9}"#);
/// ```
pub type Named<T> = indexmap::IndexMap<String, T>;
