internal import Glibc
package import MartletPrimitives

/// Blocking calls on files and folders, for threads that may block.
package enum FileTree {
  /// What the last call on this thread failed with, in the system's words.
  package static var lastError: String { String(cString: strerror(errno)) }

  /// Makes a folder and those above it; what exists already is left as it is.
  package static func makeFolders(_ path: String, mode: UInt32) {
    if mkdir(path, mode) == 0 || errno == EEXIST { return }
    guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    makeFolders(String(path[..<slash]), mode: mode)
    mkdir(path, mode)
  }

  /// False on an error, which `lastError` names.
  package static func writeAll(_ bytes: Slice, to file: Int32) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var rest = buffer
      while !rest.isEmpty {
        let count = write(file, rest.baseAddress, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      }
      return true
    }
  }

  /// Names in a folder, without links and special files.
  package static func list(_ folder: String) -> [(name: String, isFolder: Bool)] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [(name: String, isFolder: Bool)] = []
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name != ".", name != ".." else { continue }
      var information = stat()
      guard lstat("\(folder)/\(name)", &information) == 0 else { continue }
      let kind = information.st_mode & S_IFMT
      if kind == S_IFDIR || kind == S_IFREG { names.append((name, kind == S_IFDIR)) }
    }
    return names.sorted { $0.name < $1.name }
  }
}
