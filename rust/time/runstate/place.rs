// SPDX-License-Identifier: GPL-2.0-only

//! Where a guest's record is: one page or two, at any alignment, in one of two layouts.

use crate::abi::errno::{
    Result,
    EINVAL, //
};
use crate::abi::vcpu::{
    self as abi,
    compat, //
};
use crate::sys::page::{
    SharedPage,
    SplitWindow,
    Window, //
};

use super::record::{
    publish,
    Layout,
    Sink, //
};
use super::Runstate;

/// A registered record; holds references to its pages. Never read.
pub(crate) struct Place {
    first: SharedPage,
    /// Only if the record goes on there.
    second: Option<SharedPage>,
    /// Byte offset in the first page.
    offset: usize,
    form: Form,
}

/// The record in the form in which it is written fastest.
enum Form {
    Native(Window<{ abi::RUNSTATE_SIZE }>),
    Compat(Window<{ compat::RUNSTATE_SIZE }>),
    /// It goes on in the second page.
    NativeSplit(SplitWindow<{ abi::RUNSTATE_SIZE }>),
    CompatSplit(SplitWindow<{ compat::RUNSTATE_SIZE }>),
}

/// Has records stored in a kind of window.
macro_rules! window_is_sink {
    ($window:ident) => {
        impl<const LEN: usize> Sink for $window<LEN> {
            #[inline(always)]
            fn store8(&self, at: usize, value: u8) {
                $window::store8(self, at, value);
            }
            #[inline(always)]
            fn store32(&self, at: usize, value: u32) {
                $window::store32(self, at, value);
            }
            #[inline(always)]
            fn store64(&self, at: usize, value: u64) {
                $window::store64(self, at, value);
            }
        }
    };
}

window_is_sink!(Window);
window_is_sink!(SplitWindow);

impl Place {
    /// Makes the place of a record that starts `offset` bytes into `first`. If it does not end there
    /// it goes on at the start of `second`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no second page but should be, or the record does not start in the first.
    pub(crate) fn new(
        first: SharedPage,
        second: Option<SharedPage>,
        offset: usize,
        layout: Layout,
    ) -> Result<Self> {
        let in_one = match layout {
            Layout::Native => Window::new(first.clone(), offset).map(Form::Native),
            Layout::Compat => Window::new(first.clone(), offset).map(Form::Compat),
        };
        let (form, second) = match in_one {
            Some(form) => (form, None),
            None => {
                let (head, tail) = (first.clone(), second.clone().ok_or(EINVAL)?);
                let split = match layout {
                    Layout::Native => SplitWindow::new(head, tail, offset).map(Form::NativeSplit),
                    Layout::Compat => SplitWindow::new(head, tail, offset).map(Form::CompatSplit),
                };
                (split.ok_or(EINVAL)?, second)
            }
        };
        Ok(Self {
            first,
            second,
            offset,
            form,
        })
    }

    /// Returns the same place with another layout.
    ///
    /// # Errors
    ///
    /// As [`Place::new`]: the longer layout may need a page that the shorter one did not.
    pub(crate) fn with_layout(&self, layout: Layout) -> Result<Self> {
        Self::new(self.first.clone(), self.second.clone(), self.offset, layout)
    }

    /// Returns how the record is laid out.
    pub(crate) fn layout(&self) -> Layout {
        match self.form {
            Form::Native(_) | Form::NativeSplit(_) => Layout::Native,
            Form::Compat(_) | Form::CompatSplit(_) => Layout::Compat,
        }
    }

    /// Returns whether `which` knows the machine frame number of one of the pages.
    pub(crate) fn touches(&self, mut which: impl FnMut(u64) -> bool) -> bool {
        let first = which(self.first.mfn());
        first || self.second.as_ref().is_some_and(|page| which(page.mfn()))
    }

    /// Writes the record; with `flag`, so that a reader can tell.
    #[inline(always)]
    pub(crate) fn publish(&self, account: &Runstate, flag: bool) {
        match &self.form {
            Form::Native(window) => publish(window, account, Layout::Native, flag),
            Form::Compat(window) => publish(window, account, Layout::Compat, flag),
            split => split.publish_split(account, flag),
        }
    }
}

impl Form {
    /// Apart, so that the common way stays short.
    #[inline(never)]
    fn publish_split(&self, account: &Runstate, flag: bool) {
        match self {
            Self::NativeSplit(window) => publish(window, account, Layout::Native, flag),
            Self::CompatSplit(window) => publish(window, account, Layout::Compat, flag),
            Self::Native(_) | Self::Compat(_) => {}
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::State;
    use super::*;
    use crate::time::area::tests::{byte_at, pages};
    use proptest::prelude::*;

    fn bytes(pages: &[SharedPage; 2], offset: usize, len: usize) -> Vec<u8> {
        (offset..offset + len)
            .map(|at| byte_at(pages, at))
            .collect()
    }

    fn touches(place: &Place, page: &SharedPage) -> bool {
        place.touches(|mfn| mfn == page.mfn())
    }

    proptest! {
        /// any alignment, in one page or across its end, in both layouts; nothing beside the
        /// record is touched.
        #[test]
        fn r_2_any_alignment_and_both_pages(
            offset in prop_oneof![0usize..64, 4030usize..4096],
            compat: bool, flag: bool,
            changes in proptest::collection::vec((0usize..4, 0u64..1 << 40), 1..4),
        ) {
            let states = super::super::tests::STATES;
            let mut account = Runstate::new(State::Offline, 0);
            let layout = Layout::of(compat);
            let pages = pages();
            for page in &pages {
                for at in (0..4096).step_by(8) {
                    page.word64(at).unwrap().store(u64::MAX, core::sync::atomic::Ordering::Relaxed);
                }
            }
            let place =
                Place::new(pages[0].clone(), Some(pages[1].clone()), offset, layout).unwrap();
            prop_assert_eq!(place.layout(), layout);
            for (state, later) in changes {
                account.change(states[state], later);
                place.publish(&account, flag);
                let info = account.info();
                let mut expected = info.state.to_le_bytes().to_vec();
                if !compat {
                    expected.extend([0; 4]);
                }
                for word in [info.state_entry_time].iter().chain(&info.time) {
                    expected.extend(word.to_le_bytes());
                }
                prop_assert_eq!(bytes(&pages, offset, layout.len()), expected);
            }
            let outside = (0..offset).chain(offset + layout.len()..8192);
            for at in outside {
                prop_assert_eq!(byte_at(&pages, at), 0xff);
            }
        }
    }

    #[test]
    fn r_11_the_longer_layout_may_not_fit() {
        let [a, b] = pages();
        let place = Place::new(a.clone(), None, 4052, Layout::Compat).unwrap();
        assert_eq!(place.with_layout(Layout::Native).err(), Some(EINVAL));
        let place = Place::new(a.clone(), Some(b.clone()), 4052, Layout::Compat).unwrap();
        assert!(!touches(&place, &b), "what is not needed is not held");
        assert_eq!(place.with_layout(Layout::Native).err(), Some(EINVAL));
        let place = Place::new(a, Some(b.clone()), 4060, Layout::Native).unwrap();
        let place = place.with_layout(Layout::Compat).unwrap();
        assert_eq!(place.layout(), Layout::Compat);
        assert!(touches(&place, &b));
        assert_eq!(
            place.with_layout(Layout::Native).unwrap().layout(),
            Layout::Native
        );
    }

    #[test]
    fn knows_its_pages() {
        let [a, b] = pages();
        let place = Place::new(a.clone(), Some(b.clone()), 4080, Layout::Native).unwrap();
        assert!(touches(&place, &a) && touches(&place, &b) && !place.touches(|mfn| mfn == 1));
        let place = Place::new(a.clone(), None, 0, Layout::Native).unwrap();
        assert!(touches(&place, &a) && !touches(&place, &b));
        assert_eq!(
            Place::new(a, None, 4080, Layout::Native).err(),
            Some(EINVAL)
        );
    }
}
