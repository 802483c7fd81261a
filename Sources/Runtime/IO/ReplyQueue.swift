internal import MartletPrimitives

/// What a connection has to send, in order: a ring of slices, in one allocation that is there only while something waits. An
/// idle connection holds a null pointer.
internal final class ReplyQueue: ManagedBuffer<ReplyQueue.Header, Slice> {
  internal struct Header {
    /// A power of two.
    var capacity: Int
    var head = 0
    var count = 0
    /// Bytes of the first slice that have left.
    var offset = 0
    /// Bytes of all slices that have not.
    var bytes = 0
  }

  private static func make(capacity: Int) -> ReplyQueue {
    unsafeDowncast(create(minimumCapacity: capacity) { _ in Header(capacity: capacity) }, to: ReplyQueue.self)
  }

  deinit {
    withUnsafeMutablePointers { header, elements in
      for index in 0..<header.pointee.count { (elements + header.pointee.slot(index)).deinitialize(count: 1) }
    }
  }

  internal var count: Int { header.count }
  internal var bytes: Int { header.bytes }
  internal var offset: Int { header.offset }

  internal func slice(_ index: Int) -> Slice {
    precondition(index >= 0 && index < header.count, "an index of a queue lies inside it")
    return withUnsafeMutablePointers { header, elements in elements[header.pointee.slot(index)] }
  }

  /// Appends to a queue, which is made or replaced by a larger one when need be.
  internal static func append(_ slice: Slice, to queue: inout ReplyQueue?) {
    let target = queue.map { $0.header.count < $0.header.capacity ? $0 : $0.grown() } ?? make(capacity: 4)
    target.withUnsafeMutablePointers { header, elements in
      (elements + header.pointee.slot(header.pointee.count)).initialize(to: slice)
      header.pointee.count += 1
      header.pointee.bytes += slice.count
    }
    queue = target
  }

  private func grown() -> ReplyQueue {
    let larger = ReplyQueue.make(capacity: header.capacity * 2)
    withUnsafeMutablePointers { from, elements in
      larger.withUnsafeMutablePointers { to, places in
        for index in 0..<from.pointee.count { (places + index).moveInitialize(from: elements + from.pointee.slot(index), count: 1) }
        (to.pointee.count, to.pointee.offset, to.pointee.bytes) = (from.pointee.count, from.pointee.offset, from.pointee.bytes)
        from.pointee.count = 0
      }
    }
    return larger
  }

  /// `count` bytes, of those that wait, have left.
  internal func drop(_ count: Int) {
    withUnsafeMutablePointers { header, elements in
      header.pointee.bytes -= count
      var left = count + header.pointee.offset
      while header.pointee.count > 0, left >= elements[header.pointee.head].count {
        left -= elements[header.pointee.head].count
        (elements + header.pointee.head).deinitialize(count: 1)
        header.pointee.head = header.pointee.slot(1)
        header.pointee.count -= 1
      }
      header.pointee.offset = left
    }
  }
}

extension ReplyQueue.Header {
  fileprivate func slot(_ index: Int) -> Int { (head &+ index) & (capacity &- 1) }
}
