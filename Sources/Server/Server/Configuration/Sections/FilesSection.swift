internal import MartletEndpoints
internal import MartletPrimitives

/// Uploads and downloads.
internal enum FilesSection {
  static let section = SettingSection(
    "files", "Files that clients upload and download at /files. Uploading takes a permission (auth), downloading only when auth guards it.",
    [
      SettingKey("enabled", \.files.isEnabled, .bool, "Keep files."),
      SettingKey(
        "path", \.files.path, .path, "The folder for files. Empty is files in the state folder; without a state folder there are none.",
        example: "/var/lib/martlet/files"),
      SettingKey("maximum", \.files.maximumBytes, .bytes(1 << 10...1 << 50), "The largest file; beyond, 413."),
      SettingKey(
        "quota", \.files.quota, .bytes(1 << 10...1 << 60),
        "Bytes of all files together, unfinished ones with their whole length; beyond, 507."),
      SettingKey(
        "user_quota", \.files.userQuota, .bytes(0...1 << 60),
        "The same for the files of one user (sub of its tokens). 0: no limit of its own. Needs a file system with user attributes."),
      SettingKey("uploads", \.files.uploads, .int(1...100_000), "Unfinished uploads at once; beyond, 503."),
      SettingKey(
        "user_uploads", \.files.userUploads, .int(1...100_000),
        "And of one user; those without a name count as one. Beyond, 429."),
      SettingKey(
        "expire", \.files.expire, .duration(.seconds(1)...TimeSpan.days(365)),
        "An upload that nothing came for in this time is dropped."),
      SettingKey("depth", \.files.depth, .int(0...32), "Folders within each other in a file's name."),
      SettingKey("pieces", \.files.pieces, .int(16...65_536), "Separate ranges that the parts of one upload may leave."),
      SettingKey("form_files", \.files.formFiles, .int(1...10_000), "Files of one form."),
    ])
}
