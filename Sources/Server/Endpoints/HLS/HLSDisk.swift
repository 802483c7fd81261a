internal import Glibc
internal import MartletIO
internal import MartletMedia
package import MartletPrimitives
internal import Synchronization

/// Copies of segments and media playlists as files, written and removed by a thread of its own. When the disk does not keep
/// up, copies are left out; the streams never wait.
package final class HLSDisk: Sendable {
  private let root: String
  private let log: Log
  private let pool = ThreadPool(name: "martlet-hls", limit: 256)
  private let isFailing = Atomic<Bool>(false)

  /// - Parameter root: an absolute or relative folder; made when missing.
  package init(_ root: String, log: Log) {
    var root = root
    while root.utf8.count > 1, root.hasSuffix("/") { root.removeLast() }
    self.root = root
    self.log = log
    _ = pool.submit { [self] in removeLeftovers(in: self.root, depth: 0) }
  }

  package func close() { pool.close() }

  internal func write(_ bytes: Slice, _ path: StreamPath, _ epoch: String, _ sequence: UInt64) {
    put(bytes, folder: folder(path), name: "\(epoch)-\(sequence).ts")
  }

  internal func write(_ playlist: String, _ path: StreamPath) {
    put(Slice(Array(playlist.utf8)), folder: folder(path), name: HLSAddress.mediaName)
  }

  internal func remove(_ path: StreamPath, _ epoch: String, _ sequences: [UInt64]) {
    guard !sequences.isEmpty else { return }
    let folder = folder(path)
    _ = pool.submit(beyondLimit: true) {
      for sequence in sequences { unlink("\(folder)/\(epoch)-\(sequence).ts") }
    }
  }

  internal func removePlaylist(_ path: StreamPath) {
    let folder = folder(path)
    _ = pool.submit(beyondLimit: true) {
      unlink("\(folder)/\(HLSAddress.mediaName)")
      rmdir(folder)
    }
  }

  private func folder(_ path: StreamPath) -> String { root + "/" + path.text }

  private func put(_ bytes: Slice, folder: String, name: String) {
    let accepted = pool.submit { [self] in
      let failure = Self.write(bytes, folder: folder, name: name)
      report(failure.map { "\(folder)/\(name): \($0)" })
    }
    if !accepted { report("the disk does not keep up; segments are left out") }
  }

  /// One line when it begins to fail, one when it works again.
  private func report(_ failure: String?) {
    let failed = failure != nil
    guard isFailing.exchange(failed, ordering: .relaxed) != failed else { return }
    log(failed ? .error : .info, "hls", failure ?? "segments are written to \(root) again")
  }

  /// Under another name first, so that nobody reads half a file.
  private static func write(_ bytes: Slice, folder: String, name: String) -> String? {
    FileTree.makeFolders(folder, mode: 0o755)
    let (hidden, final) = ("\(folder)/.\(name)", "\(folder)/\(name)")
    let file = open(hidden, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard file >= 0 else { return FileTree.lastError }
    let isWritten = FileTree.writeAll(bytes, to: file)
    let error = FileTree.lastError
    Glibc.close(file)
    guard isWritten else {
      unlink(hidden)
      return error
    }
    return rename(hidden, final) == 0 ? nil : FileTree.lastError
  }

  /// Deletes what earlier runs wrote, and nothing else: other files keep their folders.
  private func removeLeftovers(in folder: String, depth: Int) {
    guard depth < 16 else { return }
    for (name, isFolder) in FileTree.list(folder) {
      let path = "\(folder)/\(name)"
      if isFolder {
        removeLeftovers(in: path, depth: depth + 1)
        rmdir(path)
      } else {
        let visible = name.hasPrefix(".") ? name.dropFirst() : Substring(name)
        if depth >= 2, visible == HLSAddress.mediaName || HLSAddress.isSegmentName(visible) { unlink(path) }
      }
    }
  }
}
