package import MartletPrimitives

/// What an operator may set for files; each field is a key of the `files` section.
package struct FilesConfiguration: Equatable, Sendable {
  package var isEnabled = true
  /// The folder; empty is `files` in the server's state folder.
  package var path = ""
  /// Bytes of one file.
  package var maximumBytes = 4 << 30
  /// Bytes of all files, unfinished ones with the length that they will have.
  package var quota = 16 << 30
  /// The same of one user; 0 is no limit.
  package var userQuota = 0
  /// Unfinished uploads at once, of all.
  package var uploads = 256
  /// And of one user; those without a name count as one.
  package var userUploads = 64
  /// How long an upload may rest before it is dropped.
  package var expire = TimeSpan.seconds(86_400)
  /// Folders within each other.
  package var depth = 8
  /// Separate ranges of one upload: parts come in any order, but not without end.
  package var pieces = 4096
  /// Of one form.
  package var formFiles = 100
  package init() {}
}
