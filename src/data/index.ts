/**
 * Sets of samples, metrics, augmentation, preprocessing. `ndarray.ts` stands apart on purpose: it loads a package that
 * builds code from strings.
 */
export { concatenated, examplesFromArrays, meanTarget, subset } from './arrays.ts';
export type { ArrayExamples } from './arrays.ts';
export { AUGMENT_DEFAULTS, augmentLandmarks, warp, warpPoints } from './augment.ts';
export type { AugmentOptions, WarpMatrix } from './augment.ts';
export { FOLDER_DEFAULTS, openFolder } from './folder.ts';
export type { Dataset, FolderOptions } from './folder.ts';
export { gunzip } from './gzip.ts';
export { landmarks68Task, MIRROR_68, OUTER_EYES_68 } from './landmarks.ts';
export { classMetrics, cumulativeCurve, FAILURE_LIMIT, landmarkMetrics, regressionMetrics } from './metrics.ts';
export type { LandmarkMetrics, LandmarkMetricsOptions, NormalizedErrors } from './metrics.ts';
export { readNpy, writeNpy } from './npy.ts';
export { readNpz } from './npz.ts';
export type { NpzOptions, NpzWeights } from './npz.ts';
export { checkPreprocessing, preprocess, preprocessedShape, preprocessor } from '../preprocess/preprocess.ts';
export type { Preprocessor } from '../preprocess/preprocess.ts';
export { holdsPictures, openPictureFolder, PICTURE_FOLDER_DEFAULTS } from './picture-folder.ts';
export type { PictureFolderOptions } from './picture-folder.ts';
export { isHeldOut, openPictures } from './pictures.ts';
export type { Picture, PictureSet, PicturesOptions, PictureTargets } from './pictures.ts';
export { readPts } from './pts.ts';
export type { PtsOptions } from './pts.ts';
export { PREPROCESSING_PRESETS, presetPreprocessing } from '../preprocess/presets.ts';
export type { PresetChoices, PreprocessingPreset } from '../preprocess/presets.ts';
export { resizeImage } from '../preprocess/resize.ts';
export type { ResizeFilter } from '../preprocess/resize.ts';
