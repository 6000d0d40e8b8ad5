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
use crate::sys::hold;
use crate::sys::page::PageRef;
use crate::sys::raw;
use crate::sys::wait::Waiter;

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

    /// An ioctl. `arg` is what user space passed. `ERESTART` asks to be called again, with the same `progress`, after
    /// others were let in: whatever takes long, or is done in parts, has safe points of live patching in between.
    fn ioctl(
        this: &Arc<Self>,
        file: &OpenFile,
        cmd: u32,
        arg: usize,
        progress: &mut Progress,
    ) -> errno::Result<i64>;

    /// Reads; returns how many bytes. `ERESTART` asks to be called again when the word that is put into `wait` is not
    /// 0; it must be there as long as the open file is.
    fn read(
        _this: &Arc<Self>,
        _file: &OpenFile,
        _into: &mut UserSliceWriter,
        _wait: &mut Option<Waiter>,
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

/// What an ioctl that is done in parts keeps from one to the next; 0 at the first.
pub(crate) type Progress = [u64; 8];

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
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn get<T>(held: *mut raw::oxen_held) {
            // SAFETY: By the contract.
            hold::mapping(|| unsafe { get_inside::<T>(held) });
        }
        /// # Safety
        ///
        /// A mapping holds a reference of the `Arc` that `held` was made from.
        #[inline(never)]
        unsafe fn get_inside<T>(held: *mut raw::oxen_held) {
            // SAFETY: By the contract.
            let object = unsafe { Arc::from_raw(held.cast::<Held<T>>().cast_const()) };
            core::mem::forget(object.clone());
            core::mem::forget(object);
        }
        /// Called by the kernel, or through the pointer that is registered beside it.
        ///
        /// # Safety
        ///
        /// To be called as it was registered, with what was registered.
        #[link_section = ".kprobes.text"]
        unsafe extern "C" fn put<T>(held: *mut raw::oxen_held) {
            // SAFETY: By the contract.
            hold::mapping(|| unsafe { put_inside::<T>(held) });
        }
        /// # Safety
        ///
        /// A mapping gives back its reference of the `Arc` that `held` was made from.
        #[inline(never)]
        unsafe fn put_inside<T>(held: *mut raw::oxen_held) {
            // SAFETY: By the contract.
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

// What the kernel calls stands in the section that is never patched, and does nothing but pass the gate. The functions
// that it calls inside are never inlined into it.

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn open<D: Device>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The file is being opened.
    hold::tool(|| unsafe { open_inside::<D>(file) })
}

/// # Safety
///
/// `file` must be one that is being opened.
#[inline(never)]
unsafe fn open_inside<D: Device>(file: *mut bindings::file) -> c_int {
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
#[link_section = ".kprobes.text"]
unsafe extern "C" fn release<D: Device>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The file is being closed.
    hold::tool(|| unsafe { release_inside::<D>(file) });
    0
}

/// # Safety
///
/// `file` must be one of `D` that is being closed.
#[inline(never)]
unsafe fn release_inside<D: Device>(file: *mut bindings::file) {
    // SAFETY: `open` put it there.
    let ptr = unsafe { (*file).private_data };
    // SAFETY: No other operation runs or comes any more.
    let device = unsafe { <Arc<D> as ForeignOwnable>::from_foreign(ptr) };
    D::release(&device);
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn ioctl<D: Device>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    let mut progress = [0; 8];
    loop {
        // SAFETY: The kernel calls this with an open file of ours.
        let result = hold::tool(|| unsafe { ioctl_inside::<D>(file, cmd, arg, &mut progress) });
        if result != AGAIN {
            return result;
        }
        // SAFETY: A process in a system call may sleep.
        unsafe { raw::oxen_fixed_yield() };
    }
}

/// `ERESTART`, as a call returns it.
const AGAIN: c_long = errno::ERESTART.to_raw() as c_long;

/// # Safety
///
/// `file` must be an open file of `D`.
#[inline(never)]
unsafe fn ioctl_inside<D: Device>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
    progress: &mut Progress,
) -> c_long {
    // SAFETY: By the contract.
    let device = unsafe { device::<D>(file) };
    to_long(D::ioctl(&device, &OpenFile(file), cmd, arg, progress))
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn read<D: Device>(
    file: *mut bindings::file,
    buf: *mut c_char,
    len: usize,
    _pos: *mut bindings::loff_t,
) -> isize {
    loop {
        let mut wait = None;
        // SAFETY: The kernel calls this with an open file of ours.
        let result = hold::tool(|| unsafe { read_inside::<D>(file, buf, len, &mut wait) });
        if result != AGAIN {
            return result;
        }
        // SAFETY: It is there as long as the open file, which stays open during the call.
        if wait.is_some_and(|waiter| unsafe { waiter.wait() }) {
            return errno::EINTR.to_raw() as isize;
        }
    }
}

/// # Safety
///
/// `file` must be an open file of `D`.
#[inline(never)]
unsafe fn read_inside<D: Device>(
    file: *mut bindings::file,
    buf: *mut c_char,
    len: usize,
    wait: &mut Option<Waiter>,
) -> isize {
    // SAFETY: By the contract.
    let device = unsafe { device::<D>(file) };
    let mut into = UserSlice::new(UserPtr::from_ptr(buf.cast()), len).writer();
    let result = D::read(&device, &OpenFile(file), &mut into, wait);
    // CAST: A length of memory fits.
    to_long(result.map(|len| len as i64)) as isize
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn write<D: Device>(
    file: *mut bindings::file,
    buf: *const c_char,
    len: usize,
    _pos: *mut bindings::loff_t,
) -> isize {
    // SAFETY: The kernel calls this with an open file of ours.
    hold::tool(|| unsafe { write_inside::<D>(file, buf, len) })
}

/// # Safety
///
/// `file` must be an open file of `D`.
#[inline(never)]
unsafe fn write_inside<D: Device>(
    file: *mut bindings::file,
    buf: *const c_char,
    len: usize,
) -> isize {
    // SAFETY: By the contract.
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
#[link_section = ".kprobes.text"]
unsafe extern "C" fn poll<D: Device>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: The kernel calls this with an open file of ours, and a table that is null or valid during the call.
    hold::tool(|| unsafe { poll_inside::<D>(file, table) })
}

/// # Safety
///
/// `file` must be an open file of `D`, `table` null or valid.
#[inline(never)]
unsafe fn poll_inside<D: Device>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: By the contract.
    let device = unsafe { device::<D>(file) };
    // SAFETY: By the contract.
    let table = unsafe { PollTable::from_raw(table) };
    D::poll(&device, &OpenFile(file), &table)
}

/// Called by the kernel, or through the pointer that is registered beside it.
///
/// # Safety
///
/// To be called as it was registered, with what was registered.
#[link_section = ".kprobes.text"]
unsafe extern "C" fn mmap<D: Device>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: The kernel calls this with an open file of ours and a mapping that is being made.
    hold::mapping(|| unsafe { mmap_inside::<D>(file, vma) })
}

/// # Safety
///
/// `file` must be an open file of `D`, `vma` a mapping of it that is being made and that nobody else uses.
#[inline(never)]
unsafe fn mmap_inside<D: Device>(
    file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    if !D::MAP_BY_OFFSET {
        // SAFETY: By the contract.
        return unsafe { raw::oxen_vma_prepare(vma.cast(), D::LAZY_MAP) };
    }
    // SAFETY: By the contract.
    let device = unsafe { device::<D>(file) };
    // SAFETY: By the contract.
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
