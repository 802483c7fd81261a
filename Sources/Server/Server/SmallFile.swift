internal import Glibc

package struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
}

/// Files read and written whole at start or on reload, never on a worker: configuration, keys, certificates.
package enum SmallFile {
  package static let limit = 4 << 20

  package static func read(_ path: String, limit: Int = SmallFile.limit) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("read", path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure("read", path) }
      guard count > 0 else { return bytes }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= limit else { throw FileError(description: "\(path) is larger than \(limit) bytes") }
    }
  }

  /// Writes a file for this user alone, whole or not at all.
  package static func writePrivately(_ bytes: [UInt8], to path: String) throws(FileError) {
    let temporary = path + ".new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw failure("write", temporary) }
    var offset = 0
    while offset < bytes.count {
      let count = bytes[offset...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        defer { close(descriptor) }
        throw failure("write", temporary)
      }
      offset += count
    }
    fsync(descriptor)
    close(descriptor)
    guard rename(temporary, path) == 0 else { throw failure("write", path) }
  }

  /// Makes the folder and those above it; the new ones are for this user alone.
  package static func makeFolder(_ path: String) throws(FileError) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      made += "/" + part
      if mkdir(made, 0o700) != 0, errno != EEXIST, errno != EISDIR, errno != EROFS { throw failure("make the folder", made) }
    }
    guard access(path, W_OK) == 0 else { throw failure("write into", path) }
  }

  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  private static func failure(_ verb: String, _ path: String) -> FileError {
    FileError(description: "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}
