import Foundation

/// Bare G.722 at 64 kbit/s: what `ffmpeg -c:a g722 out.g722` writes, 8 bytes a millisecond.
public struct G722File: Sendable {
  /// Of 20 ms each.
  public let packets: [[UInt8]]

  public init(path: String) throws {
    let bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    packets = stride(from: 0, to: bytes.count - bytes.count % 160, by: 160).map { Array(bytes[$0..<$0 + 160]) }
    guard !packets.isEmpty else { throw MediaFileError("\(path) is shorter than 20 ms") }
  }
}

public final class G722Writer {
  private let file: FileHandle

  public init(path: String) throws {
    guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
      throw MediaFileError("\(path) cannot be written")
    }
    self.file = file
  }

  public func write(_ packet: [UInt8]) throws { try file.write(contentsOf: packet) }
}
