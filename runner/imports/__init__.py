"""Import: specs and bindings for what exists on a platform and trueup did not make.

platform ──survey──> Listing ──join──> Joins ──draft──> operations ──edit──> specs
                                                └─────> ties ──base──> bindings
"""
