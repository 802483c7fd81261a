internal import CShims
internal import Glibc
package import MartletPrimitives

/// What a system call on a file failed with.
package struct FileFailure: Error, Equatable, Sendable, CustomStringConvertible {
  package let code: Int32
  package init(code: Int32) { self.code = code }
  internal static var last: FileFailure { FileFailure(code: errno) }

  package var description: String { String(cString: strerror(code)) }
  /// There is no room on the disk, or not for this user.
  package var isFull: Bool { code == ENOSPC || code == EDQUOT }
  /// A file stands where a folder should, or a folder where a file should.
  package var isWrongKind: Bool { code == ENOTDIR || code == EISDIR || code == ELOOP || code == EXDEV }
  package var isMissing: Bool { code == ENOENT }
}

/// A folder that is open, whatever is renamed above it. Names are those of its own entries; links are never followed.
/// Everything blocks.
package final class OpenFolder: Sendable {
  private let descriptor: Int32

  private init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { close(descriptor) }

  package struct Entry: Sendable {
    package let isFolder: Bool
    /// Bytes of a file.
    package let size: Int
    package let modified: WallTime
  }

  package static func open(_ path: String) throws(FileFailure) -> OpenFolder {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last }
    return OpenFolder(descriptor)
  }

  /// A folder below this one; the empty path is this one.
  /// - Parameter makes: makes what is missing.
  package func folder(_ path: String, makes: Bool = false) throws(FileFailure) -> OpenFolder {
    guard !path.isEmpty else {
      let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
      guard copy >= 0 else { throw .last }
      return OpenFolder(copy)
    }
    let found = martlet_open_beneath(descriptor, path, O_RDONLY | O_DIRECTORY)
    if found >= 0 { return OpenFolder(found) }
    guard makes, -found == ENOENT else { throw FileFailure(code: -found) }
    var current = self
    for segment in path.split(separator: "/") {
      if mkdirat(current.descriptor, String(segment), 0o750) != 0, errno != EEXIST { throw .last }
      let next = martlet_open_beneath(current.descriptor, String(segment), O_RDONLY | O_DIRECTORY)
      guard next >= 0 else { throw FileFailure(code: -next) }
      current = OpenFolder(next)
    }
    return current
  }

  /// A new file; fails when the name is taken.
  package func create(_ name: String) throws(FileFailure) -> WritableFile {
    let file = openat(descriptor, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o640)
    guard file >= 0 else { throw .last }
    return WritableFile(file)
  }

  /// A regular file that is there.
  package func file(_ name: String) throws(FileFailure) -> WritableFile {
    let file = openat(descriptor, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw .last }
    let result = WritableFile(file)
    guard result.isRegular else { throw FileFailure(code: EISDIR) }
    return result
  }

  /// `nil` for what is not there, and for what is neither file nor folder.
  package func entry(_ name: String) -> Entry? {
    var information = stat()
    guard fstatat(descriptor, name, &information, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
    let kind = information.st_mode & S_IFMT
    guard kind == S_IFDIR || kind == S_IFREG else { return nil }
    let modified = WallTime(milliseconds: Int64(information.st_mtim.tv_sec) * 1000 + Int64(information.st_mtim.tv_nsec) / 1_000_000)
    return Entry(isFolder: kind == S_IFDIR, size: kind == S_IFREG ? Int(information.st_size) : 0, modified: modified)
  }

  package func rename(_ old: String, to new: String) throws(FileFailure) {
    guard renameat(descriptor, old, descriptor, new) == 0 else { throw .last }
  }

  package func remove(_ name: String) throws(FileFailure) {
    guard unlinkat(descriptor, name, 0) == 0 else { throw .last }
  }

  /// Removes an empty folder, if it is one.
  package func removeFolder(_ path: String) { unlinkat(descriptor, path, AT_REMOVEDIR) }

  /// What was renamed stays so after a power cut.
  package func sync() { fsync(descriptor) }

  /// Sorted, without `.` and `..`.
  package func names() -> [String] {
    let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard copy >= 0, let handle = fdopendir(copy) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}

/// A file that is open for writing at any place. Everything blocks.
package final class WritableFile: Sendable {
  private let descriptor: Int32

  internal init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { close(descriptor) }

  private var information: stat {
    var information = stat()
    fstat(descriptor, &information)
    return information
  }

  internal var isRegular: Bool { information.st_mode & S_IFMT == S_IFREG }
  package var size: Int { Int(information.st_size) }

  package func write(_ bytes: Slice, at offset: Int) throws(FileFailure) {
    var failure: FileFailure?
    bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let count = pwrite(descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done, off_t(offset + done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else {
          failure = count == 0 ? FileFailure(code: EIO) : .last
          return
        }
        done += count
      }
    }
    if let failure { throw failure }
  }

  /// Hands the whole content to `body`, piece by piece.
  package func readAll(_ body: (UnsafeRawBufferPointer) -> Void) throws(FileFailure) {
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    var offset = 0
    while true {
      let count = pread(descriptor, &buffer, buffer.count, off_t(offset))
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .last }
      guard count > 0 else { return }
      buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      offset += count
    }
  }

  /// The whole of a small file.
  package func read(limit: Int) throws(FileFailure) -> [UInt8] {
    guard size <= limit else { throw FileFailure(code: EFBIG) }
    var bytes: [UInt8] = []
    try readAll { bytes.append(contentsOf: $0) }
    return bytes
  }

  package func truncate(to size: Int) throws(FileFailure) {
    guard ftruncate(descriptor, off_t(size)) == 0 else { throw .last }
  }

  /// What was written survives a power cut.
  package func sync() throws(FileFailure) {
    guard fsync(descriptor) == 0 else { throw .last }
  }

  package func syncData() throws(FileFailure) {
    guard fdatasync(descriptor) == 0 else { throw .last }
  }

  /// False where the file system keeps no attributes.
  @discardableResult package func setAttribute(_ name: String, _ value: String) -> Bool {
    martlet_set_attribute(descriptor, "user." + name, value, value.utf8.count) == 0
  }

  package func attribute(_ name: String) -> String? { FileAttribute.read(name, of: descriptor) }
}

internal enum FileAttribute {
  internal static func read(_ name: String, of descriptor: Int32) -> String? {
    let bytes = [UInt8](unsafeUninitializedCapacity: 1024) { buffer, filled in
      filled = max(0, martlet_get_attribute(descriptor, "user." + name, buffer.baseAddress, buffer.count))
    }
    return bytes.isEmpty ? nil : String(validating: bytes, as: UTF8.self)
  }
}
