/// An immutable, reference-counted run of bytes. Copying one copies a pointer and two offsets, on any thread: this is
/// how a frame is serialised once and sent to a thousand viewers.
public struct Slice: Sendable {
  @usableFromInline let storage: [UInt8]
  @usableFromInline let lower: Int
  @usableFromInline let upper: Int

  @inlinable public init() { self.init([]) }

  /// Takes the array as it is, without a copy.
  @inlinable public init(_ bytes: [UInt8]) {
    storage = bytes
    lower = 0
    upper = bytes.count
  }

  @inlinable init(storage: [UInt8], lower: Int, upper: Int) {
    self.storage = storage
    self.lower = lower
    self.upper = upper
  }

  @inlinable public init(copying span: RawSpan) { self.init(Array(copying: span)) }

  @inlinable public var count: Int { upper - lower }
  @inlinable public var isEmpty: Bool { upper == lower }

  /// The bytes, for as long as the slice is borrowed.
  @inlinable public var bytes: RawSpan {
    @_lifetime(borrow self) get { storage.span.bytes.extracting(lower..<upper) }
  }

  /// The part that overlaps `range`, which may reach outside.
  @inlinable public func sub(_ range: Range<Int>) -> Slice {
    let clamped = range.clamped(to: 0..<count)
    return Slice(storage: storage, lower: lower + clamped.lowerBound, upper: lower + clamped.upperBound)
  }

  @inlinable public func dropFirst(_ n: Int) -> Slice { sub(max(0, n)..<max(count, n)) }

  @inlinable public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try storage.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[lower..<upper])) }
  }

  /// A copy as an array; without a copy when the slice spans its whole storage.
  @inlinable public var array: [UInt8] { lower == 0 && upper == storage.count ? storage : Array(storage[lower..<upper]) }
}

extension Slice: Equatable {
  public static func == (a: Slice, b: Slice) -> Bool {
    a.count == b.count && a.withUnsafeBytes { x in b.withUnsafeBytes { y in x.elementsEqual(y) } }
  }
}

extension Slice: ExpressibleByArrayLiteral {
  public init(arrayLiteral elements: UInt8...) { self.init(elements) }
}

extension Slice: CustomStringConvertible {
  public var description: String { "Slice(\(count) bytes)" }
}

extension Array where Element == UInt8 {
  @inlinable public init(copying span: RawSpan) {
    // Of no bytes the storage would be the one that all empty arrays share, and its count written to: a race of threads.
    guard span.byteCount > 0 else {
      self.init()
      return
    }
    self.init(unsafeUninitializedCapacity: span.byteCount) { buffer, count in
      span.withUnsafeBytes { UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0) }
      count = span.byteCount
    }
  }

  @inlinable public mutating func append(_ span: RawSpan) {
    span.withUnsafeBytes { append(contentsOf: $0) }
  }
}

extension String {
  /// UTF-8 text; `nil` when the bytes are not valid UTF-8.
  @inlinable public init?(validating span: RawSpan) {
    let text = span.withUnsafeBytes { String(validating: $0, as: UTF8.self) }
    guard let text else { return nil }
    self = text
  }

  /// Text for a person: what is not UTF-8 shows as U+FFFD.
  @inlinable public init(repairing span: RawSpan) {
    self = span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
  }
}
