package import MartletPrimitives

/// The first administrator's token: made once, kept in the state folder for this user alone, so that a fresh server can be
/// administered from elsewhere by whoever can read its files.
package enum AdministratorToken {
  /// `nil` without a state folder, or when it cannot be written.
  package static func load(from folder: String, log: Log) -> Secret? {
    guard !folder.isEmpty else { return nil }
    let path = folder + "/admin-token"
    do throws(FileError) {
      if SmallFile.exists(path) {
        let text = String(decoding: try SmallFile.read(path), as: UTF8.self).filter { !$0.isWhitespace }
        if text.utf8.count >= 32 { return Secret(text) }
      }
      try SmallFile.makeFolder(folder)
      let token = Base64.encode((0..<32).map { _ in UInt8.random(in: 0...255) }, .url)
      try SmallFile.writePrivately(Array((token + "\n").utf8), to: path)
      log(.info, "auth", "the first administrator's token is in \(path)")
      return Secret(token)
    } catch {
      log(.warning, "auth", "there is no administrator's token: \(error) (state)")
      return nil
    }
  }
}
