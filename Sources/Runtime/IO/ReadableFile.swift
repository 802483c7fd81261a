internal import CShims
internal import CUV
internal import Glibc
package import MartletPrimitives

/// A regular file that is open for reading, on whatever thread; closed when nobody holds it any more.
package final class ReadableFile: Sendable {
  private let descriptor: Int32
  /// Bytes when it was opened.
  package let size: Int
  package let modified: WallTime
  /// Changes whenever the file's content may have.
  package let version: String

  private init(_ descriptor: Int32, _ information: stat) {
    self.descriptor = descriptor
    size = Int(information.st_size)
    modified = WallTime(milliseconds: Int64(information.st_mtim.tv_sec) * 1000 + Int64(information.st_mtim.tv_nsec) / 1_000_000)
    version = [UInt64(information.st_ino), UInt64(size), UInt64(information.st_mtim.tv_sec), UInt64(information.st_mtim.tv_nsec)]
      .map { String($0, radix: 36) }.joined(separator: "-")
  }

  deinit { close(descriptor) }

  /// Opens `path` below `root`, never through links. Blocks. `nil` when there is no such regular file.
  package static func open(_ path: String, below root: String) -> ReadableFile? {
    let folder = Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { return nil }
    defer { close(folder) }
    // Opening a pipe would wait for its writer.
    let descriptor = martlet_open_beneath(folder, path, O_RDONLY | O_NONBLOCK)
    guard descriptor >= 0 else { return nil }
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      return nil
    }
    return ReadableFile(descriptor, information)
  }

  /// An extended attribute (of the namespace `user`), if it has it and the file system keeps some.
  package func attribute(_ name: String) -> String? { FileAttribute.read(name, of: descriptor) }

  /// Blocks. Fewer bytes than asked for at the file's end or after an error.
  package func read(_ range: Range<Int>) -> Slice {
    if range.isEmpty { return Slice() }
    return Slice(
      [UInt8](unsafeUninitializedCapacity: range.count) { buffer, filled in
        filled = 0
        while filled < range.count {
          let count = pread(descriptor, buffer.baseAddress?.advanced(by: filled), range.count - filled, range.lowerBound + filled)
          if count < 0, errno == EINTR { continue }
          guard count > 0 else { return }
          filled += count
        }
      })
  }
}

extension FileTree {
  /// Removes one file below `root`, never through links. Blocks. `nil` when it is gone, else what the system says.
  package static func remove(_ path: String, below root: String) -> String? {
    let folder = Glibc.open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { return lastError }
    defer { close(folder) }
    let slash = path.lastIndex(of: "/")
    let parent = slash.map { martlet_open_beneath(folder, String(path[..<$0]), O_RDONLY | O_DIRECTORY) } ?? dup(folder)
    guard parent >= 0 else { return String(cString: strerror(-parent)) }
    defer { close(parent) }
    let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
    return unlinkat(parent, name, 0) == 0 ? nil : lastError
  }
}
