internal import Glibc
internal import MartletIO
internal import MartletMedia
internal import MartletPrimitives

/// What the recordings' folder holds. Everything here blocks.
internal struct Recording: Sendable {
  let name: RecordingName
  /// Bytes.
  let size: Int
  /// Milliseconds.
  let duration: Int64
  /// The head is in place: it was closed in order.
  let isFinished: Bool

  internal var json: JSON {
    [
      "path": .string(name.path), "stream": .string(name.stream.text), "size": .int(Int64(size)), "start": .string(name.start.iso8601),
      "duration": .double(Double(duration) / 1000), "finished": .bool(isFinished),
    ]
  }
}

extension RecordingStore {
  /// Folders within each other that are looked into.
  private static let depthLimit = 32

  /// The newest first.
  /// - Parameters:
  ///   - stream: only of this stream.
  ///   - limit: at most this many.
  internal func list(stream: String?, limit: Int) -> [Recording] {
    var names: [RecordingName] = []
    collect(stream ?? "", 0, &names)
    names.sort { ($0.start, $0.path) > ($1.start, $1.path) }
    return names.prefix(limit).compactMap { name in
      guard let file = ReadableFile.open(name.path, below: root) else { return nil }
      let times = Self.times(in: file)
      return Recording(name: name, size: file.size, duration: times.duration, isFinished: times.isFinal && !isActive(name.path))
    }
  }

  private func collect(_ folder: String, _ depth: Int, _ names: inout [RecordingName]) {
    guard depth < Self.depthLimit else { return }
    for (entry, isFolder) in FileTree.list(folder.isEmpty ? root : root + "/" + folder) {
      let path = folder.isEmpty ? entry : folder + "/" + entry
      if isFolder {
        collect(path, depth + 1, &names)
      } else if let name = RecordingName(path: path) {
        names.append(name)
      }
    }
  }

  /// The duration from the head, or, of a file that was never closed, from its last tag.
  private static func times(in file: ReadableFile) -> (duration: Int64, isFinal: Bool) {
    // The head begins with a tag of 11 bytes, "onMetaData", the array's count and the name "duration".
    let position = FLVRecording.headPosition + 11 + 13 + 5
    let property = file.read(position..<position + 19).array
    guard property.count == 19, property.starts(with: [0, 8] + Array("duration".utf8) + [0]) else { return (0, false) }
    let seconds = Double(bitPattern: property.suffix(8).reduce(0) { $0 << 8 | UInt64($1) })
    if seconds > 0, seconds < 1e9 { return (Int64(seconds * 1000), true) }
    return (lastTimestamp(in: file), false)
  }

  /// A file that ends in the middle of a tag has none that its end tells of.
  private static func lastTimestamp(in file: ReadableFile) -> Int64 {
    guard file.size > 28 else { return 0 }
    let size = file.read(file.size - 4..<file.size).array.reduce(0) { $0 << 8 | Int($1) }
    guard size >= 11, size < 1 << 24, size + 4 <= file.size - FLVRecording.headPosition else { return 0 }
    let tag = file.read(file.size - 4 - size..<file.size - 4 - size + 8).array
    guard tag.count == 8, [8, 9, 18].contains(tag[0]), Int(tag[1]) << 16 | Int(tag[2]) << 8 | Int(tag[3]) == size - 11 else { return 0 }
    return Int64(tag[7]) << 24 | Int64(tag[4]) << 16 | Int64(tag[5]) << 8 | Int64(tag[6])
  }
}
