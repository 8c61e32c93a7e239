//! A function, compiled once for each level.

/// Compiles a function for each [`Level`](crate::Level); a call takes the best that there is.
///
/// `as V: Eight` before the body calls the level's vectors `V`, those of [`Vectors`](crate::Vectors). Generic
/// parameters are listed twice: as declared, then as passed on, without lifetimes. Arguments are plain names, and the
/// function is no method.
///
/// ```
/// use l0_lanes::{Eight, Lanes, at_best};
///
/// at_best! {
///     /// `sums[n] += xs[n] * weight`, for `N` vectors.
///     pub fn weighted[const N: usize][N](xs: &[Eight; N], weight: f32, sums: &mut [Eight; N]) as V: Eight {
///         let weight = V::splat(weight);
///         for n in 0..N {
///             weight.mul_add(V::load(&xs[n]), V::load(&sums[n])).store(&mut sums[n]);
///         }
///     }
/// }
///
/// let mut sums = [Eight::splat(1.0); 2];
/// weighted(&[Eight::splat(2.0), Eight::splat(3.0)], 4.0, &mut sums);
/// assert_eq!(sums, [Eight::splat(9.0), Eight::splat(13.0)]);
/// ```
#[macro_export]
macro_rules! at_best {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $([$($generic:tt)*] [$($given:tt)*])? ($($arg:ident: $type:ty),* $(,)?) $(-> $made:ty)?
        $(as $vector:ident: $width:ident)? $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name $(<$($generic)*>)? ($($arg: $type),*) $(-> $made)? {
            // Each is a function of its own: as a part of its caller its sums would not all stay in registers.
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
            #[inline(never)]
            fn __avx512 $(<$($generic)*>)? ($($arg: $type),*) $(-> $made)? {
                $(type $vector = <$crate::levels::Avx512 as $crate::Vectors>::$width;)?
                $body
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[inline(never)]
            fn __avx2 $(<$($generic)*>)? ($($arg: $type),*) $(-> $made)? {
                $(type $vector = <$crate::levels::Avx2 as $crate::Vectors>::$width;)?
                $body
            }
            #[inline(never)]
            fn __plain $(<$($generic)*>)? ($($arg: $type),*) $(-> $made)? {
                $(type $vector = <$crate::levels::Plain as $crate::Vectors>::$width;)?
                $body
            }
            match $crate::Level::current() {
                // SAFETY: a level is current only where the CPU has its instructions.
                #[cfg(target_arch = "x86_64")]
                $crate::Level::Avx512 => unsafe { __avx512 $(::<$($given)*>)? ($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::Level::Avx2 => unsafe { __avx2 $(::<$($given)*>)? ($($arg),*) },
                _ => __plain $(::<$($given)*>)? ($($arg),*),
            }
        }
    )*};
}
