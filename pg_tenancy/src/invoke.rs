//! Functions of ours, called from here as PostgreSQL's fmgr calls them: a definer
//! runs as its owner, and whether the caller may is not asked.
//!
//! PostgreSQL is called without pgrx's guard, so that errors keep their codes: they
//! leave by longjmp.

use std::ffi::CStr;
use std::mem::offset_of;

use pgrx::pg_sys;

use crate::boundary_first::find_function;
use crate::fault::Fault;

unsafe extern "C-unwind" {
    fn palloc0(size: usize) -> *mut std::ffi::c_void;
    fn fmgr_info(function: pg_sys::Oid, info: *mut pg_sys::FmgrInfo);
}

/// A function of the extension, by its name and the types of its arguments.
pub fn find(schema: &CStr, name: &CStr, arguments: &[pg_sys::Oid]) -> Result<pg_sys::Oid, Fault> {
    // SAFETY: C strings, within a transaction.
    let function = unsafe { find_function(schema, name, arguments) };
    if function == pg_sys::InvalidOid {
        return Err(Fault::internal("a function of the extension is missing"));
    }
    Ok(function)
}

/// Calls it with these arguments, none of them NULL. `None` for NULL.
///
/// # Safety
/// The arguments are of its types. Nothing with a destructor may be alive in the
/// callers' frames.
pub unsafe fn invoke(function: pg_sys::Oid, arguments: &[pg_sys::Datum]) -> Option<pg_sys::Datum> {
    // SAFETY: the memory is that of a call with so many arguments, zeroed, as
    // InitFunctionCallInfoData leaves it.
    unsafe {
        let info: *mut pg_sys::FmgrInfo = palloc0(size_of::<pg_sys::FmgrInfo>()).cast();
        fmgr_info(function, info);
        let size = offset_of!(pg_sys::FunctionCallInfoBaseData, args)
            + std::mem::size_of_val(arguments) / size_of::<pg_sys::Datum>()
                * size_of::<pg_sys::NullableDatum>();
        let call: pg_sys::FunctionCallInfo = palloc0(size).cast();
        (*call).flinfo = info;
        (*call).fncollation = pg_sys::DEFAULT_COLLATION_OID;
        (*call).nargs = arguments.len() as i16;
        for (i, &value) in arguments.iter().enumerate() {
            (*call)
                .args
                .as_mut_ptr()
                .add(i)
                .write(pg_sys::NullableDatum {
                    value,
                    isnull: false,
                });
        }
        let answer = ((*info).fn_addr?)(call);
        (!(*call).isnull).then_some(answer)
    }
}
