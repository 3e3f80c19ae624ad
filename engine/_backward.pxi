# The backward walk; part of _core.pyx, whose names it uses.

cdef extern from "Python.h":
    ctypedef struct PyObject
    object PyObject_Vectorcall(object function, PyObject **arguments, size_t n, PyObject *names)
    Py_ssize_t Py_REFCNT(PyObject *o)


cdef check_versions(Node node):
    """Refuse to use saved values that were overwritten since the op ran."""
    cdef long now = 0
    cdef Version changed = None, v
    cdef int i
    for i in range(node.op.n_saved):
        if 0 <= node.op.saves[i] < SHAPE_OF and node.saved[i] is not None:
            v = (<Tensor>node.saved[i]).version
            if v is not None:
                now += v.count
                changed = v if v.count else changed
        elif node.op.saves[i] == OUTS:
            for out in <tuple>node.saved[i]:
                v = (<Tensor>out).version
                now += v.count
                changed = v if v.count else changed
    if node.out_version is not None:
        now += node.out_version.count
        changed = node.out_version if node.out_version.count else changed
    if now != node.versions:
        refuse_changed(node, changed)


cdef refuse_changed(Node node, Version changed):
    raise GradientError(f"backward of {node.op.name}, recorded at {node.where}, needs a tensor that was changed "
                        f"in place afterwards, at {changed.where}. Assign to a copy (y = x * 1), or move the "
                        "assignment before the op.")


cdef object call_rule(Node node, object g, tuple needs, bint create_graph):
    """The gradients of one node's inputs, as the rule gives them; g is a tuple for several outputs."""
    cdef Op op = node.op
    cdef PyObject *arguments[MAX_SAVED]
    cdef Tensor out = None
    cdef tuple outs = None
    cdef int i, port
    arguments[0] = <PyObject *>g
    for i in range(op.n_saved):
        if op.saves[i] == OUT:
            out = wrap(node.out)
            if create_graph:
                out.node, out._requires_grad = node, True
            arguments[i + 1] = <PyObject *>out
        elif op.saves[i] == OUTS:
            outs = tuple([wrap((<Tensor>kept).data) for kept in <tuple>node.saved[i]])
            if create_graph:
                for port in range(len(outs)):
                    add_port(outs[port], node, port)
            arguments[i + 1] = <PyObject *>outs
        elif op.saves[i] == NEEDS:
            arguments[i + 1] = <PyObject *>needs
        else:
            arguments[i + 1] = <PyObject *>node.saved[i]
    return PyObject_Vectorcall(op.rule, arguments, op.n_saved + 1, NULL)


cdef tuple call_composite(Node node, object g, tuple needs, bint create_graph):
    """The same through the op's composite: second derivatives of fused ops, ops without a rule."""
    global fg_recording
    cdef int recording = fg_recording
    cdef list aliases
    if versions_of(node.inputs) != node.input_versions:
        refuse_changed(node, max([(<Tensor>t).version for t in node.inputs if t is not None
                                  and (<Tensor>t).version is not None], key=lambda v: (<Version>v).count))
    fg_recording = True
    try:
        aliases = [None if t is None else (<Op>table["alias"])(t) for t in node.inputs]
        y = node.op.composite(*aliases, **node.attributes)
    finally:
        fg_recording = recording
    wanted = [a for a, need in zip(aliases, needs) if need]
    cdef list pairs = [(y, g)] if not node.n_outputs else [p for p in zip(y, g) if p[1] is not None]
    roots, seeds = zip(*pairs)
    found = iter(walk(roots, seeds, wanted, create_graph, create_graph))
    return tuple([next(found) if need else None for need in needs])


cpdef Tensor sum_to(Tensor g, tuple shape):
    """Undo broadcasting: sum g over the axes along which an input of this shape was repeated."""
    cdef Py_ssize_t ndim = cnp.PyArray_NDIM(g.data), lead = ndim - len(shape), i
    cdef bint inner = False
    cdef list axes = list(range(lead))
    for i in range(lead, ndim):
        if cnp.PyArray_DIM(g.data, i) != 1 and <Py_ssize_t>shape[i - lead] == 1:
            axes.append(i)
            inner = True
    if axes:
        g = (<Op>table["sum"])(g, axis=tuple(axes), keepdims=inner)
    return (<Op>table["reshape"])(g, shape=shape) if lead and inner else g


cdef set needed_nodes(tuple roots, dict wanted):
    """Nodes on a path from the roots to a wanted tensor."""
    cdef set seen = set(), needed = set()
    cdef list order = [], stack = [t.node for t in roots if (<Tensor>t).node is not None]
    cdef Node node
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        for edge in node.edges:
            if type(edge) is Node:
                stack.append(edge)
    order.sort()
    for node in order:
        if node in wanted:
            needed.add(node)
            continue
        for edge in node.edges:
            if edge is not None and (edge in needed or edge in wanted):
                needed.add(node)
                break
    return needed


cdef push(list heap, Node node):
    """Insert into a binary heap with the latest node on top."""
    cdef Py_ssize_t i = len(heap), above
    heap.append(node)
    while i and (<Node>heap[(i - 1) >> 1]).sequence < node.sequence:
        above = (i - 1) >> 1
        heap[i] = heap[above]
        i = above
    heap[i] = node


cdef Node pop(list heap):
    """Take the latest node off the heap."""
    cdef Node last = heap.pop(), top
    cdef Py_ssize_t n = len(heap), i = 0, below = 1
    if not n:
        return last
    top = heap[0]
    while below < n:
        if below + 1 < n and (<Node>heap[below + 1]).sequence > (<Node>heap[below]).sequence:
            below += 1
        if (<Node>heap[below]).sequence <= last.sequence:
            break
        heap[i] = heap[below]
        i, below = below, 2 * below + 1
    heap[i] = last
    return top


cdef tuple needs_of(Node node, set needed, dict targets):
    """Which inputs of the node want a gradient; leaves may have ceased to."""
    if needed is None:
        return tuple([type(edge) is Node or edge is not None and (<Tensor>edge)._requires_grad
                      for edge in node.edges])
    return tuple([edge is not None and (edge in needed or edge in targets) for edge in node.edges])


cdef list walk(tuple roots, tuple seeds, list wanted, bint create_graph, bint retain):
    """Run the tape backwards from roots.

    Without ``wanted`` the gradients are added to the leaves' ``grad`` and an empty list returns;
    with it, the gradients of those tensors return in order (None where there is no path).
    """
    global fg_recording, fg_anomaly
    cdef dict grads = {}, targets = {}
    cdef list heap = [], filled = []
    cdef set needed = None
    cdef Node node
    cdef Tensor g, t
    cdef tuple needs, shapes
    cdef object arrived, gradients, gradient, edge
    cdef Py_ssize_t i, n
    cdef bint several
    cdef int recording = fg_recording, anomaly = fg_anomaly
    if wanted is not None:
        for t in wanted:
            wants(t)
            targets[t if t.node is None else t.node] = None
        needed = needed_nodes(roots, targets)
    for t, g in zip(roots, seeds):
        if not wants(t):
            raise GradientError("backward: the tensor does not depend on anything that requires a "
                                "gradient. Set requires_grad=True on an input, and compute outside "
                                "no_grad().")
        deliver(t if t.node is None else t.node, g, grads, targets, heap, needed,
                filled if wanted is None else None)
    g = t = None
    fg_recording = create_graph
    fg_anomaly = 0                # the walk itself looks for NaN, and can say whose gradient has it
    node = None
    try:
        while heap:
            node = pop(heap)
            arrived = grads.pop(node)
            if node.hooks is not None:
                arrived = call_hooks(node.hooks, arrived)
            if needed is not None and node in targets:
                targets[node] = arrived
            if node.source is not None:
                if needed is None or node.source in needed:
                    if node.source not in grads:
                        grads[node.source] = [None] * node.source.n_outputs
                        push(heap, node.source)
                    (<list>grads[node.source])[node.port] = arrived
                continue
            if node.n_outputs:
                arrived = tuple(arrived)
            needs = needs_of(node, needed, targets)
            if True not in needs:
                continue
            if node.saved is None and node.recompute is not None:
                remember(node)
            elif node.saved is None:
                raise GradientError(f"backward of {node.op.name}: this part of the tape was already "
                                    "used. Call backward(retain_graph=True) the first time to go "
                                    "through it twice.")
            check_versions(node)
            if fg_transforms:
                transformed_rule(node.op, True)
            gradients = call_rule(node, arrived, needs, create_graph) \
                if node.op.rule is not None and not (node.op.fused and (create_graph or is_mapped(arrived))) \
                else call_composite(node, arrived, needs, create_graph)
            if fg_transforms:
                transformed_rule(node.op, False)
            several = type(gradients) is tuple or type(gradients) is list
            n, shapes = len(node.edges), node.shapes
            if (len(gradients) if several else 1) != n:
                raise GradientError(f"the rule of {node.op.name} gave "
                                    f"{len(gradients) if several else 1} gradients for {n} inputs; "
                                    "expected one (or None) for each.")
            for i in range(n):
                edge, gradient = node.edges[i], gradients[i] if several else gradients
                if edge is None or gradient is None or not needs[i]:
                    continue
                g = <Tensor?>gradient
                if shapes is not None and not has_shape(g.data, <tuple>shapes[i]):
                    g = sum_to(g, <tuple>shapes[i])
                if anomaly and not is_mapped(g) and np.isnan(g.data).any():
                    raise GradientError(f"backward of {node.op.name}, recorded at {node.where}, gave NaN "
                                        f"in the gradient of its input {i}.")
                deliver(edge, g, grads, targets, heap, needed, filled if wanted is None else None)
            gradients = gradient = arrived = None
            if not retain:
                node.saved = node.inputs = node.out = node.recompute = None
        node = None
        for leaf, arrived in grads.items():           # those that wait for all of their gradient
            arrived = call_hooks((<Tensor>leaf).hooks, arrived)
            deliver_to_leaf(<Tensor>leaf, arrived, targets, filled if wanted is None else None)
    except Exception as error:
        if node is not None and not isinstance(error, GradientError):
            error.add_note(f"in the backward of {node.op.name}, recorded at {node.where}")
        raise
    finally:
        fg_recording, fg_anomaly = recording, anomaly
        grads = gradients = gradient = arrived = g = None
        for t in filled:
            own_gradient(t)
    if wanted is None:
        return []
    return [targets[t if (<Tensor>t).node is None else (<Tensor>t).node] for t in wanted]


cdef bint is_mapped(g):
    """Whether a gradient, or one of several, stands for a batch of them (vmap)."""
    if type(g) is tuple:
        return any([is_mapped(part) for part in <tuple>g])
    return g is not None and type(g) is not Tensor


cdef remember(Node node):
    """Fill in again what a node has forgotten, from the same call recorded once more."""
    cdef Node again = node.recompute(node)
    if again.saved is None and again.recompute is not None:
        remember(again)
    if again.versions != node.versions:
        raise GradientError(f"backward of {node.op.name}: it is computed anew from tensors that were "
                            "changed in place since the first time. Move the change behind backward().")
    node.saved, node.inputs, node.attributes = again.saved, again.inputs, again.attributes
    node.out, node.out_version = again.out, again.out_version
    node.input_versions = again.input_versions


cdef bint is_only_ours(Tensor g, Py_ssize_t n_owners):
    """Whether nobody else can see g's memory, besides the walk's own references to g."""
    cdef PyObject *base = <PyObject *>cnp.PyArray_BASE(g.data)
    return Py_REFCNT(<PyObject *>g) <= n_owners and Py_REFCNT(<PyObject *>g.data) == 1 \
        and (base == NULL or type(<object>base) is Buffer and Py_REFCNT(base) == 1)


cdef Tensor added(Tensor before, Tensor g, Py_ssize_t n_owners):
    """before + g: in before's memory where nobody else can see it, and nothing is recorded."""
    cdef Op add = <Op>table["add"]
    if fg_recording or before is g or type(before) is not Tensor or type(g) is not Tensor \
            or type(add.kernel) is not Elementwise or not is_only_ours(before, n_owners) \
            or not is_real(g.data) \
            or cnp.PyArray_TYPE(before.data) != cnp.PyArray_TYPE(g.data) \
            or not cnp.PyArray_SAMESHAPE(before.data, g.data):
        return add.pair(before, g)
    before.data = call_elementwise(add.kernel, before.data, g.data, True)
    return before


cdef own_gradient(Tensor leaf):
    """Each leaf owns its gradient: a copy of one that others see; a recorded one keeps its history."""
    cdef Tensor g = leaf.grad
    if g is not None and g.node is None and type(g) is Tensor and not is_only_ours(g, 2):
        leaf.grad = wrap(g.data.copy(order="K"))


cdef deliver(edge, Tensor g, dict grads, dict targets, list heap, set needed, list filled):
    """Add g to what has arrived at a node, or at a leaf whose hooks wait for all of it."""
    cdef Tensor before
    if type(edge) is Node:
        if needed is not None and edge not in needed:
            return
    elif (<Tensor>edge).hooks is None:
        deliver_to_leaf(<Tensor>edge, g, targets, filled)
        return
    before = grads.get(edge)
    if before is None:
        if type(edge) is Node:
            push(heap, <Node>edge)
        grads[edge] = g
    else:
        grads[edge] = added(before, g, 2)        # owners: grads and before


cdef deliver_to_leaf(Tensor leaf, Tensor g, dict targets, list filled):
    """Add g to a leaf's gradient; leaves that had none are listed in ``filled``, which is None if only
    targets want one."""
    cdef Tensor before
    if filled is not None:
        before = leaf.grad
        if before is None:
            leaf.grad = g
            filled.append(leaf)
        else:
            leaf.grad = added(before, g, 2)      # owners: the leaf and before
    elif leaf in targets:
        before = targets[leaf]
        targets[leaf] = g if before is None else added(before, g, 2)


# ---------------------------------------------------------------------------------- hooks

cdef class Hook:
    """A function that a tensor calls with its gradient; ``remove`` ends that."""
    cdef list hooks
    cdef object function

    def __call__(self, g):
        return self.function(g)

    def remove(self):
        """Call the function no more."""
        self.hooks[:] = [hook for hook in self.hooks if hook is not self]


cdef Hook add_hook(Tensor x, function):
    cdef Hook hook = Hook.__new__(Hook)
    cdef list hooks = x.hooks if x.node is None else x.node.hooks
    if hooks is None:
        hooks = []
        if x.node is None:
            x.hooks = hooks
        else:
            x.node.hooks = hooks
    hook.hooks, hook.function = hooks, function
    hooks.append(hook)
    return hook


cdef Tensor call_hooks(list hooks, Tensor g):
    """What the hooks make of a gradient. They see memory that others may share, so they cannot write."""
    cdef Tensor seen
    for hook in list(hooks):
        seen = g
        if not is_mapped(g):
            seen = wrap(read_only(g.data))
            seen.node, seen._requires_grad = g.node, g._requires_grad
        replaced = hook(seen)
        if replaced is None or replaced is seen:
            continue
        if not isinstance(replaced, Tensor) or replaced.shape != g.shape or replaced.dtype != g.dtype:
            given = f"{replaced.dtype} {replaced.shape}" if isinstance(replaced, Tensor) else repr(replaced)
            raise GradientError(f"a hook gave {given} for a gradient of {g.dtype} {g.shape}; expected a tensor of "
                                "that dtype and shape, or None to leave it as it is.")
        g = replaced
    return g


# ---------------------------------------------------------------------------------- for autograd.py

def gradients(roots, seeds, wanted, create_graph, retain_graph):
    """Gradients of the roots, weighted by seeds, for the wanted tensors (None without a path)."""
    seeds = tuple([seed_gradient(y, g) for y, g in zip(roots, seeds)])
    return walk(tuple(roots), seeds, list(wanted), create_graph, retain_graph or create_graph)


def set_recording(bint value):
    """Switch recording in this thread; return the previous setting."""
    global fg_recording
    before = bool(fg_recording)
    fg_recording = value
    return before


def set_anomaly(bint value):
    """Switch anomaly mode in this thread; return the previous setting."""
    global fg_anomaly
    before = bool(fg_anomaly)
    fg_anomaly = value
    return before


def set_transforms(int n):
    """Let the first n transforms see this thread's op calls; return how many did before."""
    global fg_transforms
    before = fg_transforms
    fg_transforms = n
    return before


def install_transforms(call, rule):
    """Say what runs instead of an op while there are transforms, and around the rule of an op."""
    global transformed_call, transformed_rule
    transformed_call, transformed_rule = call, rule
