/// Where a recording's key frames stand, in a fixed number of places: when they are used up every second entry goes, and
/// from then on every second key frame is noted.
internal struct KeyFrameIndex: Equatable, Sendable {
  internal struct Entry: Equatable, Sendable {
    /// Of the tag's first byte, in bytes from the file's start.
    let position: Int
    /// Milliseconds from the recording's start.
    let time: Int64
  }

  internal let capacity: Int
  internal private(set) var entries: [Entry] = []
  private var step = 1
  private var seen = 0

  internal init(capacity: Int = 2000) { self.capacity = max(2, capacity) }

  internal mutating func append(position: Int, time: Int64) {
    defer { seen += 1 }
    guard seen % step == 0 else { return }
    if entries.count == capacity {
      entries = entries.indices.filter { $0 % 2 == 0 }.map { entries[$0] }
      step *= 2
      guard seen % step == 0 else { return }
    }
    entries.append(Entry(position: position, time: time))
  }
}
