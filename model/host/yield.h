#pragma once
// MAY_YIELD marks what may yield, and clang checks the mark.
//
// A domain is a monitor: another task of the domain runs only while the present one yields. A
// function that may yield says so in its declaration with MAY_YIELD, and every function that calls
// it must say so too. clang's thread-safety analysis checks this (target `yields`, yields.cmake):
// the mark is a capability that only a task has. GCC sees nothing. yields.py checks further that
// nothing which points into a container is used after a yield.
//
// How to mark each kind of function; yield_shapes.cpp shows each shape, right and wrong:
//  - A function: `int sync() MAY_YIELD;`. The definition inherits the mark from the declaration. It
//    stands after `const` and a trailing return type, and before `override` and `= 0`.
//  - A virtual function: its overrides do not inherit the mark. An override that yields carries it,
//    and so must the function that it overrides, since callers see only that one.
//  - A lambda: `[&]() MAY_YIELD { ... }`. It does not inherit the mark of the function around it. A
//    template that calls it is checked at each instantiation.
//  - std::function and pointers to functions lose the mark. The only marked lambdas that may become
//    one are the bodies given to Tasks::spawn: there the task begins.
//  - A constructor or destructor that yields carries the mark, and whoever makes or drops such an
//    object on the stack is checked. clang does not look inside constructors and destructors;
//    yields.py does. Nobody sees the destructor of a member.
//  - Code that a host runs as a task, but that is not the body of a Tasks::spawn (a system call of
//    a program, a test), calls begin_task() first.

#if defined(__clang__)
#define XENFS_YIELD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define XENFS_YIELD_ATTRIBUTE(attribute)
#endif

/// The function may pass control to another task of its domain before it returns.
#if defined(__clang__) && defined(XENFS_LIST_YIELDS)
#define MAY_YIELD                                                 \
    __attribute__((requires_capability(::xenfs::host::may_yield), \
                   diagnose_if(true, "this call may yield", "warning")))
#else
#define MAY_YIELD XENFS_YIELD_ATTRIBUTE(requires_capability(::xenfs::host::may_yield))
#endif

/// A class whose objects keep what they hold where it is, and alive, over yields: `class
/// YIELD_GUARD InodeUse`. No other reference, pointer or iterator into a container survives a
/// yield; see yields.py.
#define YIELD_GUARD

namespace xenfs::host {

/// What a task has and an event handler has not. It has no state: it exists for the analysis alone.
class XENFS_YIELD_ATTRIBUTE(capability("mark")) YieldMark {};
inline constexpr YieldMark may_yield{};

/// States that the caller runs as a task, so that it may call what is marked from here on.
inline void begin_task() XENFS_YIELD_ATTRIBUTE(assert_capability(::xenfs::host::may_yield)) {}

}  // namespace xenfs::host
