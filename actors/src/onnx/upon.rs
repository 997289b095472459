//! What is dropped before what.

/// Something that uses memory of what it stands upon: it is dropped first.
#[derive(Debug)]
pub(super) struct Upon<T, B> {
    // Fields are dropped in the order in which they are declared.
    pub(super) top: T,
    pub(super) base: B,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Noted<'a>(&'static str, &'a RefCell<Vec<&'static str>>);

    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }

    #[test]
    fn what_stands_upon_something_is_dropped_before_it() {
        let dropped = RefCell::default();
        let noted = |name| Noted(name, &dropped);
        let (base, middle, top) = (noted("base"), noted("middle"), noted("top"));
        drop(Upon { base: Upon { base, top: middle }, top });
        assert_eq!(*dropped.borrow(), ["top", "middle", "base"]);
    }
}
