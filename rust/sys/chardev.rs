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
    _file: *mut bindings::file,
    vma: *mut bindings::vm_area_struct,
) -> c_int {
    // SAFETY: The mapping is being made; nobody else uses it.
    unsafe { raw::oxen_vma_prepare(vma.cast(), D::LAZY_MAP) }
}
