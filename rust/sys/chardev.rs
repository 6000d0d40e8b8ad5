// SPDX-License-Identifier: GPL-2.0-only

//! Character devices with everything that the kernel crate's `miscdevice` lacks: an owner, `poll`, `read` and
//! `write` by user pointer, and a chosen node name.

use core::marker::PhantomData;
use core::pin::Pin;

use kernel::bindings;
use kernel::fs::File;
use kernel::prelude::*;
use kernel::sync::poll::PollTable;
use kernel::sync::Arc;
use kernel::types::ForeignOwnable;
use kernel::types::Opaque;
use kernel::uaccess::{
    UserPtr,
    UserSlice,
    UserSliceReader,
    UserSliceWriter, //
};

use crate::abi::errno::{
    self,
    Errno, //
};
use crate::sys::page::PageRef;
use crate::sys::raw;

/// What an open file of a device is. One object per `open`, shared by all threads that use the descriptor.
pub(crate) trait Device: Send + Sync + Sized + 'static {
    /// The device's name; a slash makes a directory under `/dev`.
    const NAME: &'static CStr;
    /// The node's access rights.
    const MODE: u16 = 0o600;
    /// Whether mapped memory is filled with zero pages as it is touched, rather than by ioctls.
    const LAZY_MAP: bool = false;

    /// Somebody opens the device.
    fn open() -> errno::Result<Arc<Self>>;

    /// An ioctl. `arg` is what user space passed.
    fn ioctl(this: &Arc<Self>, file: &OpenFile, cmd: u32, arg: usize) -> errno::Result<i64>;

    /// Reads; returns how many bytes.
    fn read(
        _this: &Arc<Self>,
        _file: &OpenFile,
        _into: &mut UserSliceWriter,
    ) -> errno::Result<usize> {
        Err(errno::EINVAL)
    }

    /// Writes; returns how many bytes.
    fn write(_this: &Arc<Self>, _from: &mut UserSliceReader) -> errno::Result<usize> {
        Err(errno::EINVAL)
    }

    /// What can be done without waiting, as `EPOLL*` bits; registers for changes.
    fn poll(_this: &Arc<Self>, _file: &OpenFile, _table: &PollTable<'_>) -> u32 {
        0
    }

    /// Whether memory may be mapped at all.
    const MAPPABLE: bool = false;

    /// Whether [`Device::map`] says what a mapping shows, by its offset.
    const MAP_BY_OFFSET: bool = false;

    /// Somebody makes a mapping. What cannot fail comes last: [`NewMapping::hold`].
    fn map(_this: &Arc<Self>, _mapping: &mut NewMapping<'_>) -> errno::Result {
        Err(errno::EINVAL)
    }

    /// The last descriptor was closed.
    fn release(_this: &Arc<Self>) {}
}

/// An open file, during a call.
pub(crate) struct OpenFile(*mut bindings::file);

impl OpenFile {
    /// Whether the caller does not want to wait.
    pub(crate) fn is_nonblocking(&self) -> bool {
        // SAFETY: The file is open during the call.
        unsafe { (*self.0).f_flags & bindings::O_NONBLOCK != 0 }
    }

    /// Registers for changes of `cv`.
    pub(crate) fn register_wait(
        &self,
        table: &PollTable<'_>,
        cv: &kernel::sync::poll::PollCondVar,
    ) {
        // SAFETY: The file is open during the call, and no `fdget_pos` section of this thread is active in poll.
        let file = unsafe { File::from_raw_file(self.0) };
        table.register_wait(file, cv);
    }

    /// Finds a mapping of this file that contains `len` bytes from `addr` on, and keeps the process's mappings as
    /// they are while it is looked at.
    pub(crate) fn mapping(&self, addr: u64, len: u64) -> Option<Mapping> {
        // SAFETY: Called by a process in an ioctl.
        let vma = unsafe { raw::oxen_vma_find_locked(addr, len, self.0.cast()) };
        (!vma.is_null()).then(|| Mapping { vma })
    }
}

/// A mapping of a device file, locked.
pub(crate) struct Mapping {
    vma: *mut raw::vm_area_struct,
}

impl Mapping {
    /// Puts a page into the mapping, which holds its own reference from then on.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a page is there already, `EINVAL` for a page that cannot be mapped, `ENOMEM`.
    pub(crate) fn insert(&self, addr: u64, page: &PageRef) -> errno::Result {
        // SAFETY: The mapping is locked and was prepared for pages by us; the page is referenced during the call.
        let rc = unsafe { raw::oxen_vma_insert(self.vma, addr, page.as_page()) };
        match Errno::from_raw(rc.into()) {
            None => Ok(()),
            Some(errno) => Err(errno),
        }
    }

    /// Whether the process may write to the mapping.
    #[expect(dead_code, reason = "mappings of grants")]
    pub(crate) fn is_writable(&self) -> bool {
        // SAFETY: The mapping is locked.
        unsafe { raw::oxen_vma_writable(self.vma) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: Locked by `OpenFile::mapping`, in the same process.
        unsafe { raw::oxen_mmap_read_unlock() };
    }
}

/// A mapping of a device file that is being made.
pub(crate) struct NewMapping<'a> {
    vma: *mut raw::vm_area_struct,
    _call: PhantomData<&'a mut ()>,
}

impl NewMapping<'_> {
    /// How many pages it has.
    pub(crate) fn pages(&self) -> u64 {
        // SAFETY: The mapping is being made by the calling thread.
        unsafe { raw::oxen_vma_pages(self.vma) }
    }

    /// The offset in pages that was asked for.
    pub(crate) fn page_offset(&self) -> u64 {
        // SAFETY: As above.
        unsafe { raw::oxen_vma_page_offset(self.vma) }
    }

    /// Whether it is shared with other processes, and not copied when it is written.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: As above.
        unsafe { raw::oxen_vma_shared(self.vma) }
    }

    /// Whether the process may write to it.
    pub(crate) fn is_writable(&self) -> bool {
        // SAFETY: As above.
        unsafe { raw::oxen_vma_writable(self.vma) }
    }

    /// Keeps the process from becoming able to write to it.
    pub(crate) fn forbid_writing(&mut self) {
        // SAFETY: As above; the mapping is locked for writing.
        unsafe { raw::oxen_vma_forbid_writing(self.vma) };
    }

    /// Puts a page at place `index`. The mapping has its own reference from then on.
    ///
    /// # Errors
    ///
    /// `EINVAL` beyond the mapping's end and for a page that cannot be mapped, `ENOMEM`.
    pub(crate) fn insert(&mut self, index: u64, page: &PageRef) -> errno::Result {
        if index >= self.pages() {
            return Err(errno::EINVAL);
        }
        // SAFETY: As above.
        let start = unsafe { raw::oxen_vma_start(self.vma) };
        let at = start + index * crate::sys::page::PAGE_SIZE as u64;
        // SAFETY: The place is in the mapping, which is locked and prepared; the page is referenced during the call.
        let rc = unsafe { raw::oxen_vma_insert(self.vma, at, page.as_page()) };
        match Errno::from_raw(rc.into()) {
            None => Ok(()),
            Some(errno) => Err(errno),
        }
    }

    /// Has the mapping hold an object until it, or the last part of it, goes.
    pub(crate) fn hold<T: Send + Sync + 'static>(&mut self, object: Arc<Held<T>>) {
        let held = Arc::into_raw(object).cast_mut();
        // SAFETY: As above; the head is that of an object of which the mapping takes over a reference.
        unsafe { raw::oxen_vma_hold(self.vma, held.cast()) };
    }
}

/// An object that mappings hold.
///
/// # Invariants
///
/// The functions in `head` take and drop a reference of an `Arc<Held<T>>`.
#[repr(C)]
#[pin_data]
pub(crate) struct Held<T> {
    head: raw::oxen_held,
    #[pin]
    object: T,
}

// SAFETY: The head's pointers are constant and to functions.
unsafe impl<T: Send> Send for Held<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for Held<T> {}

impl<T: Send + Sync + 'static> Held<T> {
    /// Makes one that no mapping holds yet.
    pub(crate) fn new(object: impl PinInit<T, Error>) -> errno::Result<Arc<Self>> {
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        unsafe extern "C" fn get<T>(held: *mut raw::oxen_held) {
            // SAFETY: A mapping holds the reference that it was made from.
            let object = unsafe { Arc::from_raw(held.cast::<Held<T>>().cast_const()) };
            core::mem::forget(object.clone());
            core::mem::forget(object);
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        unsafe extern "C" fn put<T>(held: *mut raw::oxen_held) {
            // SAFETY: The mapping gives its reference back.
            drop(unsafe { Arc::from_raw(held.cast::<Held<T>>().cast_const()) });
        }
        let head = raw::oxen_held {
            get: Some(get::<T>),
            put: Some(put::<T>),
        };
        // INVARIANT: By the two functions above.
        Ok(Arc::pin_init(
            try_pin_init!(Self { head, object <- object }? Error),
            GFP_KERNEL,
        )?)
    }
}

impl<T> core::ops::Deref for Held<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.object
    }
}

impl OpenFile {
    /// The object that the mapping of this file at `addr` holds, if there is such a mapping.
    ///
    /// # Safety
    ///
    /// Mappings of the file hold objects of type `T` only.
    pub(crate) unsafe fn held<T: Send + Sync + 'static>(&self, addr: u64) -> Option<Arc<Held<T>>> {
        // SAFETY: Called by a process in an ioctl.
        let held = unsafe { raw::oxen_vma_held(addr, self.0.cast()) };
        // SAFETY: By the contract this is such an object; the call took a reference, which is ours now.
        (!held.is_null()).then(|| unsafe { Arc::from_raw(held.cast::<Held<T>>().cast_const()) })
    }
}

/// A registered device. Dropping it removes the node; open files keep the module.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<D: Device> {
    #[pin]
    misc: Opaque<bindings::miscdevice>,
    fops: KBox<bindings::file_operations>,
    _device: PhantomData<D>,
}

// SAFETY: The structures are used by the kernel with its own locking.
unsafe impl<D: Device> Send for Registration<D> {}
// SAFETY: As above; nothing is reachable through a shared reference.
unsafe impl<D: Device> Sync for Registration<D> {}

impl<D: Device> Registration<D> {
    /// Makes the node.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is such a device already, `ENOMEM`.
    pub(crate) fn new(module: &'static ThisModule) -> errno::Result<Pin<KBox<Self>>> {
        let mut fops: KBox<bindings::file_operations> =
            KBox::new(bindings::file_operations::default(), GFP_KERNEL)?;
        fops.owner = module.as_ptr();
        fops.open = Some(open::<D>);
        fops.release = Some(release::<D>);
        fops.unlocked_ioctl = Some(ioctl::<D>);
        fops.compat_ioctl = bindings::compat_ptr_ioctl;
        fops.read = Some(read::<D>);
        fops.write = Some(write::<D>);
        fops.poll = Some(poll::<D>);
        if D::MAPPABLE {
            fops.mmap = Some(mmap::<D>);
        }
        let this = KBox::try_pin_init::<Error>(
            try_pin_init!(Self {
                fops,
                misc <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                    let misc = bindings::miscdevice {
                        // CAST: A constant that fits.
                        minor: bindings::MISC_DYNAMIC_MINOR as c_int,
                        name: D::NAME.as_char_ptr(),
                        fops: &raw const **fops,
                        mode: D::MODE,
                        ..Default::default()
                    };
                    // SAFETY: The slot is valid for writes and pinned.
                    unsafe { slot.write(misc) };
                    // SAFETY: The structure is initialised and lives until it is deregistered; so do the operations,
                    // in their own box.
                    kernel::error::to_result(unsafe { bindings::misc_register(slot) })
                }),
                _device: PhantomData,
            }? Error),
            GFP_KERNEL,
        )?;
        Ok(this)
    }
}

#[pinned_drop]
impl<D: Device> PinnedDrop for Registration<D> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered in `new`.
        unsafe { bindings::misc_deregister(self.misc.get()) };
    }
}

/// Borrows the object of an open file.
///
/// # Safety
///
/// `file` must be an open file of `D`, during a call of one of its operations.
unsafe fn device<D: Device>(file: *mut bindings::file) -> Arc<D> {
    // SAFETY: `open` put it there, and `release` runs after all other operations.
    let ptr = unsafe { (*file).private_data };
    // SAFETY: As above.
    let borrowed = unsafe { <Arc<D> as ForeignOwnable>::borrow(ptr) };
    borrowed.into()
}

/// Turns a result into what the kernel returns.
fn to_long(result: errno::Result<i64>) -> c_long {
    match result {
        // CAST: `c_long` has 64 bits.
        Ok(value) => value as c_long,
        Err(errno) => errno.to_raw() as c_long,
    }
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn open<D: Device>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    match D::open() {
        Ok(device) => {
            // SAFETY: The file is being opened; nobody else uses it.
            unsafe { (*file).private_data = device.into_foreign() };
            0
        }
        Err(errno) => errno.to_raw(),
    }
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn release<D: Device>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: `open` put it there.
    let ptr = unsafe { (*file).private_data };
    // SAFETY: No other operation runs or comes any more.
    let device = unsafe { <Arc<D> as ForeignOwnable>::from_foreign(ptr) };
    D::release(&device);
    0
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn ioctl<D: Device>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The kernel calls this with an open file of ours.
    let device = unsafe { device::<D>(file) };
    to_long(D::ioctl(&device, &OpenFile(file), cmd, arg))
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn read<D: Device>(
    file: *mut bindings::file,
    buf: *mut c_char,
    len: usize,
    _pos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: The kernel calls this with an open file of ours.
    let device = unsafe { device::<D>(file) };
    let mut into = UserSlice::new(UserPtr::from_ptr(buf.cast()), len).writer();
    // CAST: A length of memory fits.
    to_long(D::read(&device, &OpenFile(file), &mut into).map(|len| len as i64)) as isize
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn write<D: Device>(
    file: *mut bindings::file,
    buf: *const c_char,
    len: usize,
    _pos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: The kernel calls this with an open file of ours.
    let device = unsafe { device::<D>(file) };
    let mut from = UserSlice::new(UserPtr::from_ptr(buf.cast_mut().cast()), len).reader();
    // CAST: A length of memory fits.
    to_long(D::write(&device, &mut from).map(|len| len as i64)) as isize
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn poll<D: Device>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: The kernel calls this with an open file of ours.
    let device = unsafe { device::<D>(file) };
    // SAFETY: The table is null or valid during the call.
    let table = unsafe { PollTable::from_raw(table) };
    D::poll(&device, &OpenFile(file), &table)
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
unsafe extern "C" fn mmap<D: Device>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    if !D::MAP_BY_OFFSET {
        // SAFETY: The mapping is being made; nobody else uses it.
        return unsafe { raw::oxen_vma_prepare(vma.cast(), D::LAZY_MAP) };
    }
    // SAFETY: The kernel calls this with an open file of ours.
    let device = unsafe { device::<D>(file) };
    // SAFETY: The mapping is being made; nobody else uses it.
    unsafe { raw::oxen_vma_prepare_held(vma.cast()) };
    let mut mapping = NewMapping {
        vma: vma.cast(),
        _call: PhantomData,
    };
    match D::map(&device, &mut mapping) {
        Ok(()) => 0,
        Err(errno) => errno.to_raw(),
    }
}
